"""Records to what gives their figures again: commands, packages, container, comparison."""
