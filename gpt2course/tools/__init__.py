"""Around the course: the command line, the doctor, the model card, and what authors run."""
