"""One language model, other work: translation, summaries, options, fine-tuning."""
