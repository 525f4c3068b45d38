"""The command line: `gpt2course generate | info | perplexity | train | progress | …`.

torch is imported inside the commands, so that `--help` answers at once.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from gpt2course import __version__
from gpt2course.config import COURSE, RELEASED, GPT2Config
from gpt2course.files import printable

if TYPE_CHECKING:
    import torch

    from gpt2course.model import GPT2
    from gpt2course.tokenizer import Tokenizer
    from gpt2course.training.settings import Settings

SIZES = ("n_layer", "n_head", "n_embd", "n_ctx", "vocab_size")
SETTINGS = ("max_steps", "batch_size", "max_lr", "accumulate", "eval_every", "checkpoint_every")
SETTINGS += ("seed", "dtype", "compile")
FAILED, MISUSED = 1, 2  # exit codes, as other programs have them
INTERRUPTED, PIPE_CLOSED = 128 + 2, 128 + 13  # 128 + the number of SIGINT, of SIGPIPE
DTYPES = ["float32", "bfloat16", "float16"]


# What the commands read -------------------------------------------------------------------------


def _program() -> str:
    """How this program was started: as the installed script, or as a module."""
    name = Path(sys.argv[0]).stem
    return name if name == "gpt2course" else "python -m gpt2course"


def _bars() -> bool:
    """Whether somebody watches: a bar in a pipe or a file is a thousand lines."""
    return sys.stderr is not None and sys.stderr.isatty()


def _place(options: argparse.Namespace) -> torch.device:
    """The device that was asked for; each process of torchrun takes a GPU of its own."""
    import torch

    from gpt2course.training.processes import own_device

    own = options.device in (None, "cuda")
    return own_device() if own else torch.device(options.device)


def _load(options: argparse.Namespace) -> tuple[GPT2, Tokenizer]:
    import torch

    from gpt2course.model import GPT2
    from gpt2course.weights import load_tokenizer

    tokenizer = load_tokenizer(options.model)  # what it may lack shows sooner than the weights load
    kind = {"dtype": getattr(torch, options.dtype), "device": _place(options)}
    model = GPT2.from_pretrained(options.model, **kind)
    return model, tokenizer


def _prompt(given: str | None) -> str:
    if given != "-":
        return given or ""
    text = _read_text("-").removesuffix("\n").removesuffix("\r")  # the line end that echo adds
    if not text:
        raise ValueError(
            "standard input must hold the prompt, but is empty; leave PROMPT out, and the model "
            "begins a text of its own"
        )
    return text


def _read_text(path: str) -> str:
    """All of a file, or of standard input for "-"."""
    from gpt2course.training.text_data import as_text, read_text

    return as_text(_standard_input(), "standard input") if path == "-" else read_text(path)


def _standard_input() -> bytes:
    if sys.stdin is None:
        raise OSError("standard input is closed; give the text as a file or in quotes")
    if sys.stdin.isatty():
        end = "Ctrl-Z and Enter" if os.name == "nt" else "Ctrl-D"
        print(f"Type the text; end it with {end} on a line of its own.", file=sys.stderr)
    return sys.stdin.buffer.read()


# A model may write the characters that steer a terminal: move its cursor, change its colours.
_PICTURES = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"}
_PICTURES |= {0x7F: 0x2421} | dict.fromkeys(range(0x80, 0xA0), 0xFFFD)


def _visible(text: str) -> str:
    """On a terminal, pictures of control characters (␛) in their place; elsewhere the text."""
    return text.translate(_PICTURES) if sys.stdout.isatty() else text


def _source(model: str) -> tuple[GPT2Config, list[str]]:
    """The sizes of a model, and lines that say where it is. A released one is not fetched."""
    from gpt2course import weights

    if model in RELEASED and not Path(model).exists():
        repo = f"{weights.HUB_OWNER}/{model}"
        return RELEASED[model], [
            f"source   hub repo {repo} (the weights were not fetched for this)"
        ]
    config_path, files = weights.locate(model)
    if Path(model).exists():
        source = f"{'file' if Path(model).is_file() else 'folder'} {Path(model).resolve()}"
    else:
        inside = model == weights.COURSE_MODEL
        source = "inside the package" if inside else f"hub repo {model}"
    stored = _bytes(sum(file.stat().st_size for file in files))
    names = files[0].name if len(files) == 1 else f"{len(files)} files"
    return weights.read_config(config_path), [
        f"source   {source}",
        f"stored   {stored} in {names}, as {', '.join(_stored_dtypes(files))}",
    ]


def _stored_dtypes(files: list[Path]) -> list[str]:
    import safetensors

    dtypes = set()
    for path in files:
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                dtypes |= {file.get_slice(name).get_dtype() for name in file.keys()}
        except safetensors.SafetensorError as error:
            raise ValueError(
                f"{path} must be a whole safetensors file, but is not ({error}); it may have been "
                f"cut off, so fetch or copy it again"
            ) from None
    return sorted(dtypes)


def _sums(rows: list[tuple[str, tuple[int, ...], int]]) -> dict[str, int]:
    """How many parameters each part of the model has."""
    sums = {"embeddings": 0, "attention": 0, "MLP": 0, "norms": 0}
    marks = {"attn.": "attention", "mlp.": "MLP", "ln_": "norms"}
    for name, _, count in rows:
        inner = name.removeprefix("h.*.")
        part = next((part for mark, part in marks.items() if inner.startswith(mark)), "embeddings")
        sums[part] += count
    return sums


def _bytes(count: int) -> str:
    size, unit = (1e9, "GB") if count >= 1e9 else (1e6, "MB")
    return f"{count:,} bytes ({count / size:.2f} {unit})"


# The commands -----------------------------------------------------------------------------------


def generate(options: argparse.Namespace) -> int:
    """Write the prompt, then what the model makes of it, as it comes."""
    import torch

    from gpt2course.sampling import stream_text

    prompt = _prompt(options.prompt)
    model, tokenizer = _load(options)
    n_ctx, n_tokens = model.config.n_ctx, len(tokenizer.encode(prompt))
    if n_tokens > n_ctx:
        raise ValueError(
            f"the prompt must fit the n_ctx={n_ctx} tokens that the model reads, got {n_tokens}; "
            f"shorten it"
        )
    generator = torch.Generator(model.device)
    generator.manual_seed(generator.seed() if options.seed is None else options.seed)
    settings = {name: getattr(options, name) for name in ("temperature", "top_k", "top_p")}
    pieces = stream_text(
        model, tokenizer, prompt, options.max_new_tokens, generator=generator, **settings
    )
    try:
        print(_visible(prompt), end="", flush=True)
        for piece in pieces:
            print(_visible(piece), end="", flush=True)
    except KeyboardInterrupt:
        print()
        return INTERRUPTED
    print()
    return 0


def info(options: argparse.Namespace) -> int:
    """Print the parameter table of a model, how many bytes it takes, and where it is."""
    from gpt2course.model import parameter_table

    config, where = _source(options.model)
    rows = parameter_table(config)
    total = sum(count for *_, count in rows)
    sizes = "  ".join(f"{name}={value}" for name, value in vars(config).items())
    print(f"{options.model}: {total:,} parameters\n")
    print("\n".join([f"sizes    {sizes}", *where, f"float32  {_bytes(4 * total)}", ""]))
    lines = [("parameter", "shape", "how many")]
    lines += [(name, " × ".join(map(str, shape)), f"{count:,}") for name, shape, count in rows]
    lines += [("", "", "")]
    lines += [(part, "", f"{n:,}", f"{n / total:6.1%}") for part, n in _sums(rows).items()]
    for name, shape, count, *share in [*lines, ("total", "", f"{total:,}")]:
        print(f"{name:<24}{shape:<16}{count:>15}{''.join(share):>8}".rstrip())
    blocks = "1 block" if config.n_layer == 1 else f"all {config.n_layer} blocks together"
    print(f"\nh.* stands for {blocks}; wte also makes the scores, and counts once.")
    return 0


def perplexity(options: argparse.Namespace) -> int:
    """Print how well a model predicts a text."""
    from gpt2course.evaluation import evaluate

    text = _read_text(options.file)
    if not text:
        name = "standard input" if options.file == "-" else options.file
        raise ValueError(f"{name} must hold a text to predict, but is empty")
    model, tokenizer = _load(options)
    found = evaluate(model, tokenizer, text, options.stride, progress=_bars())
    print(f"loss           {found.loss:.4f} nats per token")
    print(f"perplexity     {found.perplexity:,.2f}")
    print(f"bits per byte  {found.bits_per_byte:.4f}")
    print(f"tokens         {found.n_tokens:,}")
    print(f"bytes          {found.n_bytes:,}")
    return 0


def train(options: argparse.Namespace) -> int:
    """Train a model on the course's text or the user's, and write all that it is to a folder."""
    try:
        _train(options)
    except (KeyboardInterrupt, FloatingPointError, ValueError, OSError) as error:
        if os.environ.get("LOCAL_RANK", "0") != "0":
            time.sleep(2)  # the first one says why, before torchrun ends it because of this one
            return FAILED
        if isinstance(error, ValueError | OSError):
            raise
        print(f"\ngpt2course: {error}" if str(error) else "", file=sys.stderr)
        return INTERRUPTED if isinstance(error, KeyboardInterrupt) else FAILED
    return 0


def _train(options: argparse.Namespace) -> None:
    from tqdm.auto import tqdm

    from gpt2course import training, weights
    from gpt2course.training.folder import claim, steps_so_far

    folder, device = Path(options.out), _place(options)
    with training.join_processes(device) as processes, claim(folder if processes.first else None):

        def say(line: str) -> None:
            tqdm.write(line)  # past the bar
            sys.stdout.flush()

        # What is impossible shows before the text is read and a tokenizer trained on it.
        steps_so_far(folder)
        settings, (start, tokenizer) = _settings(options), _start(options)
        how = {"device": device, "report": say, "progress": _bars()}
        try:
            texts = _documents(options.data)
            training.train_on_texts(*texts, folder, settings, start, tokenizer, **how)
        except training.AnotherRun as error:
            if not (folder / weights.WEIGHTS).exists():
                raise
            raise ValueError(
                f"{error}; that run is finished: to train its model further, give "
                f"--model {folder} and another --out"
            ) from None
        if processes.first:
            say(f"written    {folder}; let it write: {_program()} generate --model {folder}")


def _settings(options: argparse.Namespace) -> Settings:
    """Those of the course model, but for what was asked."""
    from gpt2course.training import COURSE_SETTINGS

    asked = {name: getattr(options, name) for name in SETTINGS}
    asked = {name: value for name, value in asked.items() if value is not None}
    if "max_lr" in asked:
        asked["min_lr"] = None
    return replace(COURSE_SETTINGS, **asked)


def _start(options: argparse.Namespace) -> tuple[GPT2Config | GPT2, Tokenizer | None]:
    """What the run begins with: sizes or a trained model, and its tokenizer if there is one."""
    from gpt2course import weights
    from gpt2course.model import GPT2
    from gpt2course.tokenizer import Tokenizer

    sizes = {name: value for name in SIZES if (value := getattr(options, name)) is not None}
    fixed = SIZES if options.model else ("vocab_size",) if options.tokenizer else ()
    clash = [f"--{n.replace('_', '-')} {sizes[n]}" for n in fixed if n in sizes]
    if clash:
        giver = "--model" if options.model else "--tokenizer"
        raise ValueError(
            f"the sizes must be left out where {giver} gives them, got {', '.join(clash)}; "
            f"leave out one of the two"
        )
    tokenizer = None
    if options.tokenizer:
        path = Path(options.tokenizer)
        tokenizer = Tokenizer.load(path / weights.TOKENIZER if path.is_dir() else path)
    if not options.model:
        return replace(COURSE, **sizes), tokenizer
    return GPT2.from_pretrained(options.model), tokenizer or weights.load_tokenizer(options.model)


def _documents(files: list[str] | None) -> tuple[list[str], list[str]]:
    """What to learn from, and what is held out: of the user's files, or the course's own text."""
    if files:
        from gpt2course.training.text_data import read_texts, split_documents

        return split_documents(read_texts(files))
    from gpt2course.corpus import heldout_documents, training_documents

    return training_documents(), heldout_documents()


def progress(options: argparse.Namespace) -> int:
    """Print which parts are the learner's own, and what is next."""
    from gpt2course.learner.progress import my_progress

    print(my_progress())
    return 0


def reset(options: argparse.Namespace) -> int:
    """Set answers and copies of lessons aside."""
    from gpt2course.learner.handing_in import reset

    for what in options.what:
        print("\n".join(reset(what)))
    return 0


def handin(options: argparse.Namespace) -> int:
    """Write the zip that a learner hands in."""
    from gpt2course.learner.handing_in import hand_in

    path, state = hand_in(options.file)
    saved = "Notebooks are in it as they were last saved."
    print("\n".join([*state.reports, f"{path}: {state.heading}. {saved}"]))
    return 0


def grade(options: argparse.Namespace) -> int:
    """Grade a folder of hand-ins."""
    from gpt2course.tools.grading.command import grade_folder

    return grade_folder(
        options.handins, options.out, options.lessons, options.jobs, options.container
    )


def assemble(options: argparse.Namespace) -> int:
    """Write the learner's parts into one file, compare it with the package, and write the page."""
    from gpt2course.files import COURSE_FOLDER
    from gpt2course.learner import assemble as one_file
    from gpt2course.learner import exam, page

    assembled = one_file.assemble()
    print(f"written  {assembled.path}")
    print(assembled)
    module = assembled.module()
    examined = exam.examine(module, COURSE_FOLDER)
    print(examined)
    tokens = module.Tokens(COURSE_FOLDER)
    ids = [tokens.end, *tokens.encode("A robot must")]
    wrote = tokens.decode(module.write(module.load_model(COURSE_FOLDER), ids, 60, end=tokens.end))
    print(f"written  {page.write_page(assembled, wrote, examined, options.by)}")
    return 0 if "first difference" not in examined else FAILED


def site(options: argparse.Namespace) -> int:
    """Build the web site of the course."""
    from gpt2course.tools.site.build import build_site

    build_site(options.out, None if options.execute else ())
    return 0


def doctor(options: argparse.Namespace) -> int:
    """Test the environment, a line for each check."""
    from gpt2course.tools.doctor import examine

    return FAILED if examine() else 0


# The options ------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """argparse, with the errors of the other faults: `gpt2course: ...`, and no abbreviations."""

    def __init__(self, **settings: Any):
        kind = argparse.RawDescriptionHelpFormatter
        super().__init__(formatter_class=kind, allow_abbrev=False, **settings)

    def option(self, name: str, kind: Callable, metavar: str, about: str, **more: Any) -> None:
        self.add_argument(name, type=kind, metavar=metavar, help=about, **more)

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(MISUSED, f"gpt2course: {message}\n")


def _number(
    convert: Callable[[str], Any], holds: Callable[[Any], bool], rule: str, remedy: str
) -> Callable[[str], Any]:
    """A type for argparse: a number for which `holds`, or an error with value, rule and remedy."""

    def parse(text: str) -> Any:
        with suppress(ValueError):
            if holds(value := convert(text)):
                return value
        raise argparse.ArgumentTypeError(f"must be {rule}, got {text!r}; {remedy}")

    return parse


_TOP_K = _number(int, lambda k: k >= 1, "a whole number of at least 1", "40 is common")
_TOP_P = _number(float, lambda p: 0 < p <= 1, "a number above 0 and at most 1", "0.9 is common")
_TEMPERATURE = _number(
    float, lambda t: 0 <= t < math.inf, "a number of at least 0", "try 0.8; 0 draws no lots"
)
_NEW_TOKENS = _number(int, lambda n: n >= 1, "a whole number of at least 1", "try 100")
_STRIDE = _number(int, lambda n: n >= 1, "a whole number of at least 1", "leave it out for half")
_SIZE = _number(int, lambda n: n >= 1, "a whole number of at least 1", "leave it out for the usual")
_JOBS = _number(
    int, lambda n: n >= 1, "a whole number of at least 1", "leave it out for one a core"
)
_VOCAB_SIZE = _number(int, lambda n: n >= 257, "a whole number of at least 257", "try 2048")


def _setting(name: str, convert: Callable[[str], Any] = int) -> Callable[[str], Any]:
    """A type for argparse: a training setting, with the bounds that the library gives it."""

    def parse(text: str) -> Any:
        from gpt2course.training.settings import RULES

        return _number(convert, *RULES[name], "leave it out for the usual")(text)

    return parse


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise argparse.ArgumentTypeError(
            f"must be text in UTF-8, but character {error.start} is not; to read it from a file, "
            f"give - and the file as standard input"
        ) from None
    return text


def _device(name: str) -> str:
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", name):
        raise argparse.ArgumentTypeError(
            f"must be cpu, cuda, cuda:0 (or another number) or mps, got {name!r}; cpu is everywhere"
        )
    if name == "cpu":
        return name
    import torch

    there = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
    there += ["mps"] if torch.backends.mps.is_available() else []
    if (name if name != "cuda" else "cuda:0") not in there:
        raise argparse.ArgumentTypeError(
            f"must be a device that torch finds here ({', '.join(there)}), got {name!r}; "
            f"try --device {there[-1]}"
        )
    return name


DESCRIPTION = """\
Let GPT-2 write, look at its sizes, measure how well it predicts a text, train
one, and test whether this computer has what the course needs.
"""
EXAMPLES = """\
examples:
  %(prog)s doctor
  %(prog)s generate "The robot must" --top-k 40
  %(prog)s info gpt2-xl
  %(prog)s perplexity novel.txt
  %(prog)s train --out my_model

%(prog)s COMMAND --help says more about a command.
"""
GENERATE = """\
Continue a text. The model reads it as tokens (words and pieces of words), gives
every token of its vocabulary a probability of coming next, one is drawn, joins
the text, and all begins again. The text appears as it is written; Ctrl-C ends
it.
"""
GENERATE_EXAMPLES = """\
examples:
  %(prog)s "The robot must" --top-k 40
  # the likeliest token each time
  %(prog)s "The robot must" --temperature 0
  # a text of its own, from nothing
  %(prog)s
  # a folder that save_pretrained wrote
  %(prog)s --model my_model "Once"
  # the prompt is what a file holds
  %(prog)s - < letter.txt

The same seed gives the same text on the same computer and device. A prompt that
begins with a minus goes behind --, as in: generate -- "-1 is less than".
"""
INFO = """\
Show what a model is made of: every parameter tensor (the numbers that training
found) with its shape, sums for each part, and the bytes it takes. Of the four
released models (gpt2, gpt2-medium, gpt2-large, gpt2-xl) the sizes are known
without a network.
"""
INFO_EXAMPLES = """\
examples:
  %(prog)s gpt2
  # a folder with config.json and model.safetensors
  %(prog)s my_model
  %(prog)s my_model/model.safetensors
  # a GPT-2 on the Hugging Face hub; is fetched
  %(prog)s somebody/their-gpt2
"""
PERPLEXITY = """\
Measure how well a model predicts a text. It guesses each token from those
before it:

  loss           how surprised it was, on average, in nats per token: less is
                 better
  perplexity     exp(loss): among how many equally likely tokens it might as
                 well have guessed; 1 would be certainty
  bits per byte  the same surprise for each byte of the text, which lets you
                 compare models that cut text into different tokens
"""
PERPLEXITY_EXAMPLES = """\
examples:
  %(prog)s novel.txt
  %(prog)s novel.txt --model gpt2-medium --stride 256
  echo "A robot must obey." | %(prog)s -
"""
TRAIN = """\
Train a model from nothing, on the stories of the course or on files of your
own, and write it to a folder that `generate` and `perplexity` read. It learns
to predict each token from those before it; some of the text is held out, and
measured only.

A run that was ended, by Ctrl-C or a power cut, goes on from its last checkpoint
when the same command is given again.
"""
TRAIN_EXAMPLES = """\
examples:
  # the course model, on the course's text
  %(prog)s --out my_model
  # the same, not as long
  %(prog)s --out my_model --steps 300
  # on your own files
  %(prog)s --out novels --data a.txt b.txt
  # a trained model further, on another text
  %(prog)s --out more --model my_model --lr 2e-4 --data a.txt
  torchrun --nproc-per-node 2 -m gpt2course train --out my_model

torchrun starts several processes that share the work: each with a GPU of its
own where there are some, else each with its share of the cores.
"""
PROGRESS = """\
Show which parts of GPT-2 are yours, which are the package's, and what is next.
Every answer that was kept is checked once more.
"""
PROGRESS_EXAMPLES = """\
example:
  %(prog)s
"""
RESET = """\
Start an exercise or a lesson over. The kept answer of an exercise is set aside
under a dated name; of a lesson all of its answers, and your copy of the
notebook. Nothing is deleted: give a file its old name, and it counts again.
"""
RESET_EXAMPLES = """\
examples:
  %(prog)s causal_mask
  %(prog)s 06_masking
  %(prog)s 6
"""
HANDIN = """\
Write one zip with your notebooks, your kept answers, and a list of what passed,
to give to a teacher. Save your notebooks first, and give the zip your name: it
is how a teacher tells hand-ins apart.
"""
HANDIN_EXAMPLES = """\
examples:
  %(prog)s
  %(prog)s ada.zip
"""
GRADE = """\
Grade a folder of hand-ins: a folder, a zip or a notebook for each student, as a
learning platform or nbgrader gives them. Answers are found by the name of their
exercise; each runs in a process of its own, without a network and without
rights where the system allows, on the published cases and on fresh ones.
Nothing is written to the hand-ins. The name of a folder, zip or notebook is the
student's. An interrupted run goes on where it was; a hand-in that has changed
is graded anew.

  grades.csv              a line for each student and exercise
  students.csv            a line for each student: how many passed
  class.html              the class at a glance, and which mistakes were made
  feedback/STUDENT.html   the cards of one student
"""
GRADE_EXAMPLES = """\
examples:
  %(prog)s handins --out grades
  %(prog)s handins --lessons 05_self_attention 06_masking
"""
ASSEMBLE = """\
Write the parts that you built in the lessons into one file, my_gpt2/gpt2.py,
which runs with torch alone. Parts that you have not built are the package's.
The file is then compared with the package's model, stage by stage, and a page
to print, my_gpt2/gpt2.html, shows what you built and when.

A gpt2.py that you edited by hand is kept under another name.
"""
ASSEMBLE_EXAMPLES = """\
examples:
  %(prog)s
  # a page that bears your name
  %(prog)s --by "Ada Lovelace"

The exit code is 0 where all stages agree, and 1 where one differs.
"""
SITE = """\
Build the course as a web site that needs no network: every lesson solved, with
its pictures, the known mistakes with their cards, the reference pages and the
library's documentation. The lessons are executed two at a time; what has not
changed since the last build is taken from it. Needs the extra `site` and the
course's folder.
"""
SITE_EXAMPLES = """\
examples:
  %(prog)s
  %(prog)s --out public
  # pages alone, in seconds
  %(prog)s --no-execute
"""
DOCTOR = """\
Test whether this computer has what the course needs. Each check is a line:

  ✓  works
  ✗  a fault; the line below, after the arrow, mends it
  –  worth knowing, and no fault
"""
DOCTOR_EXAMPLES = """\
example:
  %(prog)s

The exit code is 0 where nothing is at fault, and 1 otherwise.
"""
ABOUT_DEVICE = """where to compute: cpu, cuda (an NVIDIA card; cuda:1 is the second) or mps (a Mac's
graphics) (cuda where there is one, else cpu)"""


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog=_program(), description=DESCRIPTION, epilog=EXAMPLES)
    parser.add_argument("--version", action="version", version=f"gpt2course {__version__}")
    parser.set_defaults(command=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=_Parser)

    def add(command, summary: str, description: str, epilog: str) -> _Parser:
        about = {"help": summary, "description": description, "epilog": epilog}
        added = commands.add_parser(command.__name__, **about)
        added.set_defaults(command=command)
        return added

    _add_generate_options(add(generate, "continue a text", GENERATE, GENERATE_EXAMPLES))
    added = add(info, "show a model's parameters and sizes", INFO, INFO_EXAMPLES)
    added.add_argument("model", metavar="MODEL", help="a name, a folder or a .safetensors file")
    summary = "measure how well a model predicts a text"
    added = add(perplexity, summary, PERPLEXITY, PERPLEXITY_EXAMPLES)
    added.add_argument("file", metavar="FILE", help="a text in UTF-8; - reads standard input")
    about = """by how many tokens the model's window moves over a long text; fewer show it more of
    what came before, and take longer (half of its window)"""
    added.add_argument("--stride", type=_STRIDE, metavar="N", help=about)
    _add_model_options(added)
    _add_train_options(add(train, "train a model", TRAIN, TRAIN_EXAMPLES))
    add(progress, "show which parts are yours", PROGRESS, PROGRESS_EXAMPLES)
    added = add(reset, "start an exercise or a lesson over", RESET, RESET_EXAMPLES)
    about = "an exercise, such as causal_mask, or a lesson, such as 06_masking or 6"
    added.add_argument("what", nargs="+", metavar="NAME", help=about)
    added = add(handin, "write the zip to hand in", HANDIN, HANDIN_EXAMPLES)
    about = "the file to write (handin with today's date)"
    added.add_argument("file", nargs="?", type=Path, metavar="FILE", help=about)
    _add_grade_options(add(grade, "grade a folder of hand-ins", GRADE, GRADE_EXAMPLES))
    added = add(assemble, "write your parts into one file", ASSEMBLE, ASSEMBLE_EXAMPLES)
    added.add_argument("--by", default="", metavar="NAME", help="your name, for the page")
    added = add(site, "build the web site of the course", SITE, SITE_EXAMPLES)
    about = "the folder to write; an earlier site there is replaced (site)"
    added.add_argument("--out", type=Path, metavar="FOLDER", help=about, default=Path("site"))
    about = "execute nothing: show the outputs of an earlier build, or none"
    added.add_argument("--no-execute", dest="execute", action="store_false", help=about)
    add(doctor, "test this computer", DOCTOR, DOCTOR_EXAMPLES)
    return parser


# argparse breaks the lines of an option's help anew.


def _add_generate_options(parser: _Parser) -> None:
    about = """the text to go on with, in quotes; - reads standard input, less its last line end;
    without it the model begins by itself, from the token <|endoftext|>"""
    parser.add_argument("prompt", nargs="?", type=_text, metavar="PROMPT", help=about)
    about = """stop after so many tokens, three quarters of a word each in English (100); the model
    may end its text sooner"""
    parser.option("--max-new-tokens", _NEW_TOKENS, "N", about, default=100)
    about = """how daring: below 1 the likely tokens grow likelier, above 1 all grow more alike, 0
    always takes the likeliest (1)"""
    parser.option("--temperature", _TEMPERATURE, "T", about, default=1.0)
    about = "draw only from the K likeliest tokens; 1 is the likeliest alone (from all)"
    parser.option("--top-k", _TOP_K, "K", about)
    about = """draw only from the fewest tokens that together have probability P, say 0.9 (from
    all); after --top-k, where both are given"""
    parser.option("--top-p", _TOP_P, "P", about)
    about = "a number that fixes the draws, so that the text can be repeated (a new one each time)"
    parser.option("--seed", _setting("seed"), "N", about)
    _add_model_options(parser)


def _add_grade_options(parser: _Parser) -> None:
    parser.add_argument("handins", type=Path, metavar="HANDINS", help="the folder of hand-ins")
    about = "the folder for the tables, class.html and feedback/ (grades)"
    parser.add_argument("--out", type=Path, metavar="FOLDER", help=about, default=Path("grades"))
    about = "only these, such as 06_masking (all in which anyone wrote an answer)"
    parser.add_argument("--lessons", nargs="+", metavar="LESSON", help=about)
    about = "how many answers run at once (one a core)"
    parser.option("--jobs", _JOBS, "N", about)
    about = "grade inside this image, with docker or podman, and without a network"
    parser.add_argument("--container", metavar="IMAGE", help=about)


def _add_model_options(parser: _Parser) -> None:
    about = f"""course, the small one inside the package; {", ".join(RELEASED)}, fetched once from
    the Hugging Face hub; any GPT-2 there as OWNER/NAME; or a folder or .safetensors file of your
    own (course)"""
    parser.add_argument("--model", default="course", help=about)
    parser.option("--device", _device, "DEVICE", ABOUT_DEVICE)
    about = """how finely numbers are kept: float32, or bfloat16 or float16, which take half the
    memory and are coarser (float32)"""
    parser.add_argument("--dtype", choices=DTYPES, default="float32", help=about)


def _add_train_options(parser: _Parser) -> None:
    def size(name: str, text: str) -> None:
        kind = _VOCAB_SIZE if name == "vocab_size" else _SIZE
        parser.option(f"--{name.replace('_', '-')}", kind, "N", f"{text} ({getattr(COURSE, name)})")

    about = """where the model goes, and the checkpoints meanwhile; a new folder, or that of a run
    to go on with"""
    parser.add_argument("--out", required=True, metavar="FOLDER", help=about)
    about = """texts in UTF-8 to learn from, a twentieth of which is held out; documents end at
    <|endoftext|>, or else the text is cut into pieces of about two pages (the stories of the
    course)"""
    parser.add_argument("--data", nargs="+", metavar="FILE", help=about)
    about = """a file that Tokenizer.save wrote, or a folder that holds one (one is trained on the
    text)"""
    parser.add_argument("--tokenizer", metavar="PATH", help=about)
    about = """begin with the weights of this one, a name, a folder or a .safetensors file, and
    with its tokenizer (random weights)"""
    parser.add_argument("--model", help=about)
    size("n_layer", "blocks")
    size("n_head", "heads of each block")
    size("n_embd", "width, which the heads share")
    size("n_ctx", "tokens that the model reads")
    size("vocab_size", "tokens that there are")
    course = "(as for the course model)"
    about = f"how often the weights are moved {course}"
    parser.option("--steps", _setting("max_steps"), "N", about, dest="max_steps")
    about = f"rows of a step, over all processes {course}"
    parser.option("--batch-size", _setting("batch_size"), "N", about)
    about = f"the highest learning rate; it falls to a tenth {course}"
    parser.option("--lr", _setting("max_lr", float), "RATE", about, dest="max_lr")
    about = "cut each step into N pieces, to take less memory (1)"
    parser.option("--accumulate", _setting("accumulate"), "N", about)
    about = f"look at the held-out text after so many steps {course}"
    parser.option("--eval-every", _setting("eval_every"), "N", about)
    about = "write a checkpoint after so many steps (a tenth of them, at most 250)"
    parser.option("--checkpoint-every", _setting("checkpoint_every"), "N", about)
    about = "a number that fixes the first weights and the rows drawn (0)"
    parser.option("--seed", _setting("seed"), "N", about)
    parser.option("--device", _device, "DEVICE", ABOUT_DEVICE)
    about = "of the products; the weights are float32 (bfloat16 on cuda, else float32)"
    parser.add_argument("--dtype", choices=DTYPES[:2], help=about)
    about = "let torch.compile make kernels first, which takes a minute (on cuda alone)"
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, help=about)


# The program ------------------------------------------------------------------------------------


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def _drop_output() -> None:
    """Where stdout takes nothing any more, let Python's own flush at the end not say so again."""
    try:
        print(end="", flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(argv: Sequence[str] | None) -> int:
    parser = _parser()
    try:
        options = parser.parse_args(argv)
    except SystemExit as stop:  # after --help, --version or a usage error
        return int(stop.code or 0)
    if options.command is None:
        parser.print_help(sys.stderr)
        return MISUSED
    return options.command(options)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    What a user can mend (a wrong name, a missing file, no network) becomes one line on stderr.
    Any other exception is a bug, and is raised.
    """
    # Read when torch is loaded: threads that wait then leave their core to whoever else needs it.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # the locale may know fewer characters than a text has
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        try:
            return _run(argv)
        finally:
            print(end="", flush=True)
    except BrokenPipeError:  # `| head` has seen enough
        _drop_output()
        return PIPE_CLOSED
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return INTERRUPTED
    except (ValueError, OSError, ModuleNotFoundError) as error:
        if isinstance(error, ModuleNotFoundError) and "pip install 'gpt2course[" not in str(error):
            raise
        _drop_output()
        print(f"gpt2course: {printable(_message(error))}", file=sys.stderr)
        return FAILED
