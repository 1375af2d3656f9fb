"""Programs that torch.export wrote: `--model FILE.pt2 --trust true`."""

from genbench_adapters.exported_programs.family import OPENER

__all__ = ["OPENER"]
