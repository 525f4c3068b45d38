# The whole course: a place to learn, and the image of `python -m gpt2course grade --container`.
# Not built where it was written: no base image could be fetched there.
FROM python:3.11-slim-bookworm
WORKDIR /course
COPY . .
RUN python3 course.py setup && useradd --create-home learner
ENV PATH="/course/.venv/bin:$PATH"
# /course belongs to root, so that copies and answers lie in the learner's own folder: a volume.
WORKDIR /home/learner
USER learner
EXPOSE 8888
CMD ["python3", "/course/course.py", "--no-browser", "--", "--ServerApp.ip=0.0.0.0"]
