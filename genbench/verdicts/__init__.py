"""Which differences are real: verdicts of comparisons, groups of trainings, and gates."""
