"""Things to play with: sliders and switches, each with a static twin for where no kernel runs."""
