// Tables that sort, filter and turn pages. Each table's rows come from a script of their own, since
// a page that was opened from a file may not fetch. Without this every page shows its first rows.
"use strict";

const arrived = new Map();
const waiting = new Map();

function genbenchRows(id, rows) {
  arrived.set(id, rows);
  for (const go of waiting.get(id) || []) go();
  waiting.delete(id);
}

function made(tag, properties, ...inside) {
  const found = Object.assign(document.createElement(tag), properties);
  found.append(...inside);
  return found;
}

function swatch([number, marker]) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("class", "swatch");
  svg.setAttribute("viewBox", "0 0 10 10");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", SHAPES[marker]);
  path.style.fill = `var(--series-${number})`;
  svg.append(path);
  return svg;
}

function cellOf([text, , small, href, marks, best, look], first, left, root) {
  const cell = made(first ? "th" : "td", first ? { scope: "row" } : left ? { className: "text" } : {});
  if (look) cell.append(swatch(look));
  const inner = best ? made("strong", {}, text) : text;
  cell.append(href ? made("a", { href: root + href }, inner) : inner);
  if (marks) cell.append(made("sup", {}, marks));
  if (small) cell.append(made("small", {}, small));
  return cell;
}

// Numbers by size, texts as people sort them; what is not there stays at the end either way.
const texts = new Intl.Collator("en", { numeric: true });
function compare(one, other, sign) {
  const missing = (value) => value === null || value === "" || value === undefined;
  if (missing(one) || missing(other)) return missing(one) - missing(other);
  return sign * (typeof one === "number" ? one - other : texts.compare(one, other));
}

class Rows {
  constructor(place) {
    this.place = place;
    this.id = place.dataset.id;
    this.root = place.dataset.root;
    this.size = Number(place.dataset.size);
    this.count = Number(place.dataset.count);
    this.body = place.querySelector("tbody");
    this.heads = [...place.querySelectorAll("thead th")];
    this.page = 0;
    this.query = "";
    this.told = "";
    const sorted = this.heads.findIndex((head) => head.hasAttribute("aria-sort"));
    this.column = sorted;
    this.sign = sorted >= 0 && this.heads[sorted].ariaSort === "descending" ? -1 : 1;
    if (this.count > 1) this.heads.forEach((head, column) => this.addButton(head, column));
    this.addControls();
  }

  addButton(head, column) {
    const title = head.querySelector("span");
    const button = made("button", { type: "button" }, title.textContent);
    button.addEventListener("click", () => this.sort(column));
    title.replaceWith(button);
  }

  addControls() {
    this.controls = made("div", { className: "controls" });
    if (this.place.hasAttribute("data-filter") && this.count > 5) {
      const input = made("input", { type: "search", autocomplete: "off" });
      input.addEventListener("input", () => this.filter(input.value));
      const label = made("label", {}, "Rows with ", input);
      this.place.querySelector(".wide").before(made("div", { className: "controls" }, label));
    }
    if (this.count > this.size) {
      this.before = made("button", { type: "button" }, "Previous");
      this.after = made("button", { type: "button" }, "Next");
      this.before.addEventListener("click", () => this.turn(-1));
      this.after.addEventListener("click", () => this.turn(1));
      this.before.disabled = true;
      this.controls.append(this.before, this.after);
    }
    this.status = made("span", { className: "small" });
    this.status.setAttribute("role", "status");
    this.controls.append(this.status);
    this.place.querySelector(".status").before(this.controls);
  }

  sort(column) {
    const first = this.heads[column].dataset.first === "descending" ? -1 : 1;
    this.sign = this.column === column ? -this.sign : first;
    this.column = column;
    this.page = 0;
    this.told = `sorted by ${this.heads[column].querySelector("button").textContent}`;
    this.withRows(() => this.draw());
  }

  filter(text) {
    this.query = text.trim().toLowerCase();
    this.page = 0;
    this.withRows(() => this.draw());
  }

  turn(by) {
    this.page += by;
    this.withRows(() => this.draw());
  }

  withRows(go) {
    if (arrived.has(this.id)) return go();
    const list = waiting.get(this.id) || [];
    waiting.set(this.id, [...list, go]);
    if (list.length) return undefined;
    const script = made("script", { src: `${this.root}${this.id}.js` });
    script.onerror = () => (this.status.textContent = `cannot read ${this.id}.js beside this page`);
    document.head.append(script);
    return undefined;
  }

  chosen() {
    const words = this.query.split(/\s+/).filter(Boolean);
    const whole = (row) => row.map((cell) => `${cell[0]} ${cell[2] || ""}`).join(" ").toLowerCase();
    let rows = arrived.get(this.id);
    if (words.length) {
      rows = rows.filter((row) => {
        const text = whole(row);
        return words.every((word) => text.includes(word));
      });
    }
    if (!this.told) return rows; // as they stand: by the column that says so
    return [...rows].sort((a, b) => compare(a[this.column][1], b[this.column][1], this.sign));
  }

  draw(all = false) {
    const rows = this.chosen();
    const start = all ? 0 : this.page * this.size;
    const stop = all ? rows.length : Math.min(start + this.size, rows.length);
    const left = this.heads.map((head) => head.classList.contains("text"));
    const line = (row) =>
      made("tr", {}, ...row.map((cell, at) => cellOf(cell, at === 0, left[at], this.root)));
    this.body.replaceChildren(...rows.slice(start, stop).map(line));
    this.heads.forEach((head, at) => {
      head.removeAttribute("aria-sort");
      if (at === this.column)
        head.setAttribute("aria-sort", this.sign > 0 ? "ascending" : "descending");
    });
    if (this.before) {
      this.before.disabled = start === 0;
      this.after.disabled = stop >= rows.length;
    }
    const which = rows.length ? `rows ${start + 1} to ${stop} of ${rows.length}` : "no such rows";
    this.status.textContent = [which, this.told].filter(Boolean).join(", ");
  }
}

const tables = [...document.querySelectorAll(".rows")].map((place) => new Rows(place));
// Paper has no pages to turn: all rows that are here, then as before.
window.addEventListener("beforeprint", () =>
  tables.forEach((table) => arrived.has(table.id) && table.draw(true)));
window.addEventListener("afterprint", () =>
  tables.forEach((table) => arrived.has(table.id) && table.draw()));
