"""Why two numbers of the same samples differ, step by step."""
