"""The course as a web site: `python -m gpt2course site`."""
