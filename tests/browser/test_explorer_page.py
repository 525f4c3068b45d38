"""The model in the page: its numbers are the package's, and all of it works without a mouse."""

import json
import random
import shutil
import unicodedata
from functools import partial

import pytest
import torch
from lab import CHROMIUM, served
from safetensors.torch import load_file, save_file

from gpt2course import corpus
from gpt2course.config import GPT2Config
from gpt2course.inspection import activations
from gpt2course.model import GPT2, output_logits
from gpt2course.sampling import Sampling, generate, next_probs
from gpt2course.tokenizer import Tokenizer
from gpt2course.tools.site import copy_explorer
from gpt2course.weights import COURSE_FOLDER, TOKENIZER, load_tokenizer

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine"),
]

TEXT = "Mina watched the robot among the kettles because it"
CLOSE = {"atol": 1e-3, "rtol": 0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explorer")
    copy_explorer(folder)
    return folder


@pytest.fixture(scope="module")
def site(folder):
    with served(folder) as address:
        yield f"{address}/"


def open_at(browser, address, **settings):
    page = browser.new_page(viewport={"width": 1400, "height": 900}, **settings)
    page.faults, page.asked = [], []
    page.on("console", lambda said: said.type in ("error", "warning") and page.faults.append(said))
    page.on("pageerror", lambda error: page.faults.append(error))
    page.on("request", lambda request: page.asked.append(request.url))
    page.goto(address)
    settle(page)
    return page


def settle(page):
    """Until all is drawn for the text as it stands, and the address says so."""
    page.evaluate("ready")
    page.wait_for_function("document.querySelector('#tower .more').textContent && settled()")
    page.wait_for_timeout(300)  # the address follows a quarter of a second later


def ask(page, function, *arguments):
    """Call a function in the page. As JSON, since Playwright takes long for large arrays."""
    call = f"async text => JSON.stringify(await ({function})(...JSON.parse(text)))"
    return json.loads(page.evaluate(call, json.dumps(arguments)))


@pytest.fixture(scope="module")
def whole_page(browser, site):
    page = open_at(browser, site)
    yield page
    page.close()


@pytest.fixture
def page(whole_page, site):
    """The page with its usual beginning. No test may leave a complaint or ask any other server."""
    whole_page.evaluate(
        "text => (Object.assign(state, KEPT, { layer: 0, head: 3 }), markHead(), restart(text))",
        TEXT,
    )
    yield whole_page
    assert not whole_page.faults
    assert whole_page.asked
    assert all(url.startswith((site, "data:")) for url in whole_page.asked)


@pytest.fixture(scope="module")
def model():
    return GPT2.from_pretrained("course")


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer("course")


# Equal to the package ---------------------------------------------------------------------------

LOGITS = """(ids, lengths) => lengths.map(length => {
    for (const _ of model.read(ids.slice(0, length)));
    return Array.from(model.logits);
})"""


def test_logits_are_those_of_the_package(page, model, tokenizer):
    story = corpus.documents(5, 1)[0]
    ids = tokenizer.encode(story)[: model.config.n_ctx]
    lengths = [1, 2, 3, 40, len(ids), 17]  # on top of what the cache holds, and behind it
    found = torch.tensor(ask(page, LOGITS, ids, lengths))
    with torch.no_grad():
        expected = model(torch.tensor([ids]))[0, [length - 1 for length in lengths]]
    torch.testing.assert_close(found, expected, **CLOSE)


def test_greedy_text_is_the_same_beyond_the_context(page, model, tokenizer):
    ids = tokenizer.encode(corpus.documents(6, 1)[0])[:31]
    write = """async ids => {
        Object.assign(state, { ids: [...ids], cursor: ids.length, temperature: 0 });
        writing = true; // without the pictures of every step
        for (let n = 0; n < 100; n++) { await think(); append(drawNext()); }
        writing = false;
        return state.ids;
    }"""
    assert page.evaluate(write, ids) == generate(model, [ids], 100, temperature=0)[0]
    assert len(ids) + 100 > model.config.n_ctx


def test_the_pictures_show_what_the_package_computes(page, model, tokenizer):
    ids = tokenizer.encode(TEXT)
    with torch.no_grad():
        seen = activations(model, torch.tensor([ids]))
        last = torch.cat([model.ln_f(x[:, -1:]) for x in seen.stream])  # (floors, 1, C)
        lens = output_logits(last, model.wte.weight)[:, 0]
    look = """() => ({
        weights: model.h.map((_, layer) => [0, 1, 2, 3].map(head => Array.from(weightsOf(6, layer, head)))),
        vectors: model.h.map((_, i) => Object.values(vectorsOf(i + 1)).map(vector => Array.from(vector))),
        lens: [0, 1, 2, 3, 4].map(floor => {
            const logits = new Float32Array(2048);
            for (const _ of model.unembed(model.stream(floor), logits));
            return Array.from(logits);
        }),
    })"""  # noqa: E501
    found = ask(page, look)
    for layer, block in enumerate(seen.blocks):
        weights = torch.tensor(found["weights"][layer])
        torch.testing.assert_close(weights, block.weights[0, :, 6, :7], **CLOSE)
        vectors = found["vectors"][layer]
        names = ["x_out", *["final", "logits"] * (layer == 3), "attn_in", "q", "k", "v"]
        names += ["", "attn_out", "x_mid", "mlp_in", "mlp_hidden", "", "mlp_out"]
        assert len(vectors) == len(names)
        for name, vector in zip(names, vectors, strict=True):
            if name:
                tensor = getattr(seen if name in ("final", "logits") else block, name)
                last = tensor[0, :, -1] if tensor.ndim == 4 else tensor[0, -1]
                torch.testing.assert_close(torch.tensor(vector), last.flatten(), **CLOSE)
    torch.testing.assert_close(torch.tensor(found["lens"]), lens, **CLOSE)
    shown = page.locator("#tower .token").all_inner_texts()
    best = [tokenizer.decode([i]) for i in lens.argmax(-1).tolist()]
    assert [text.replace("␣", " ") for text in shown] == best[::-1]


@pytest.mark.parametrize(
    "settings",
    [(1.0, None, None), (0, None, None), (0.7, 40, None), (1.5, None, 0.9), (2.0, 7, 0.3)],
)
def test_chances_are_those_of_the_package(page, model, tokenizer, settings):
    temperature, top_k, top_p = settings
    with torch.no_grad():
        logits = model(torch.tensor([tokenizer.encode("Then the")]))[:, -1]
    expected = next_probs(logits, Sampling(temperature, top_k, top_p))[0]
    chances = "(logits, settings) => Array.from(nextProbs(logits, settings))"
    asked = {"temperature": temperature, "topK": top_k, "topP": top_p or 1}
    found = torch.tensor(ask(page, chances, logits[0].tolist(), asked)).float()
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert torch.equal(found > 0, expected > 0)


def strings(n):
    """Stories cut anywhere, and characters of every kind mixed at random."""
    dice = random.Random(0)
    stories = corpus.documents(7, 40)
    hard = "  \n\t\r'\"-_.,!?0123\u00a0\u0085\ufeff\u200b\u3000²½٣\x00\x1c�"
    known = [c for c in map(chr, range(0x1FAFF)) if unicodedata.category(c)[0] not in "C"]
    words = [
        "it's",
        "we'll",
        "'re",
        "'S",
        " n't",
        "naïve",
        "<|endoftext|>",
        "日本語",
        "Ünïcödé",
        "🤖",
    ]
    for _ in range(n):
        kind, parts = dice.random(), dice.randrange(1, 12)
        if kind < 0.4:
            story = dice.choice(stories)
            start = dice.randrange(len(story))
            yield story[start : start + dice.randrange(90)]
        elif kind < 0.7:
            yield "".join(dice.choice([*hard, *words, " the", "aaa"]) for _ in range(parts))
        else:
            yield "".join(dice.choice([*hard, *known, *known[:90]]) for _ in range(parts))


def test_ids_of_5000_strings_are_the_same_from_every_form_of_the_vocabulary(
    page, tokenizer, tmp_path
):
    texts = list(strings(5000))
    # Its merges come from such texts: where the page cut one elsewhere, the ids would differ.
    trained = Tokenizer.train(texts[:1500], 700)
    trained.save_pretrained(tmp_path)
    encode = """async (files, texts) => {
        const blobs = Object.entries(files).map(([name, text]) => [name, new Blob([text])]);
        const tokenizer = await loadTokenizer(Object.fromEntries(blobs));
        const ids = texts.map(text => tokenizer.encode(text));
        return { ids, whole: texts.every((text, i) => tokenizer.decode(ids[i]) === text) };
    }"""

    def check(expected, **files):
        found = ask(page, encode, files, texts)
        assert found["ids"] == [expected.encode(text) for text in texts]
        assert found["whole"]

    check(tokenizer, **{TOKENIZER: (COURSE_FOLDER / TOKENIZER).read_text("utf-8")})
    check(trained, **{TOKENIZER: (tmp_path / TOKENIZER).read_text("utf-8")})
    vocab = json.loads((tmp_path / "vocab.json").read_text("utf-8"))
    # GPT-2 numbers its bytes in another order
    others = dict(zip(vocab, [*range(255, -1, -1), *range(256, len(vocab))], strict=True))
    (tmp_path / "vocab.json").write_text(json.dumps(others), "utf-8")
    (tmp_path / "config.json").write_text(json.dumps({"vocab_size": len(vocab)}))
    (tmp_path / TOKENIZER).unlink()
    expected = Tokenizer.from_pretrained(tmp_path)
    assert expected.encode("a") != trained.encode("a")
    merges = (tmp_path / "merges.txt").read_text("utf-8")
    check(expected, **{"vocab.json": json.dumps(others), "merges.txt": merges})
    own = {name: i for name, i in others.items() if name != "<|endoftext|>"}
    added = [{"content": "<|endoftext|>", "id": others["<|endoftext|>"]}]
    pairs = [line.split(" ") for line in merges.splitlines()[1:]]
    fields = {"model": {"vocab": own, "merges": pairs}, "added_tokens": added}
    check(expected, **{"tokenizer.json": json.dumps(fields)})


def test_the_page_can_draw_between_two_blocks(page, tokenizer):
    ids = tokenizer.encode(TEXT)
    count = "ids => { let n = 0; model.ids = []; for (const _ of model.read(ids)) n++; return n; }"
    assert page.evaluate(count, ids) > 4 * len(ids)


# Other models -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A folder as save_pretrained writes it: sizes that differ, and no multiple of 4."""
    folder = tmp_path_factory.mktemp("small")
    torch.manual_seed(0)
    tokenizer = Tokenizer.train("the cat sat on the mat, the bat sat", 270)
    model = GPT2(GPT2Config(n_layer=2, n_head=3, n_embd=18, n_ctx=11, vocab_size=270))
    model.initialise(0.2)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def as_linear(state):
    turn = [n for n in state if n.endswith(".weight") and (".attn.c" in n or ".mlp.c" in n)]
    return {name: t.T.contiguous() if name in turn else t for name, t in state.items()}


def released(state):
    """As the oldest files are: no prefix, masks, the output matrix once more."""
    bare = {name.removeprefix("transformer."): t for name, t in state.items()}
    return bare | {
        "h.0.attn.bias": torch.ones(1, 1, 11, 11),
        "lm_head.weight": bare["wte.weight"].clone(),
    }


@pytest.fixture(scope="module")
def other_page(browser, site):
    page = open_at(browser, site)
    yield page
    page.close()


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state,
        lambda state: {name: tensor.half() for name, tensor in state.items()},
        lambda state: {name: tensor.bfloat16() for name, tensor in state.items()},
        as_linear,
        released,
    ],
    ids=["float32", "float16", "bfloat16", "matrices as nn.Linear", "released"],
)
def test_a_model_of_ones_own_is_read_in_every_form(other_page, small, tmp_path, change):
    files = shutil.copytree(small, tmp_path / "model")
    save_file(change(load_file(small / "model.safetensors")), files / "model.safetensors")
    model, tokenizer = GPT2.from_pretrained(files), Tokenizer.from_pretrained(files)
    page = other_page
    asked = len(page.asked)
    page.evaluate("model = null")
    page.set_input_files("#files", sorted(files.iterdir()))
    page.wait_for_function("model?.config.n_embd === 18")
    page.evaluate("restart('the cat sat on')")
    settle(page)
    ids = tokenizer.encode("the cat sat on")
    assert page.evaluate("state.ids") == ids
    with torch.no_grad():
        expected = model(torch.tensor([ids]))[0, -1]
    torch.testing.assert_close(
        torch.tensor(page.evaluate("Array.from(model.logits)")), expected, **CLOSE
    )
    assert "11" in page.inner_text("#figures")
    assert len(page.asked) == asked  # the files went nowhere
    assert not page.faults


def test_what_is_no_model_is_said_and_the_model_stays(page, small):
    page.set_input_files("#files", [small / "model.safetensors"])
    page.wait_for_selector("#trouble:not(:empty)")
    assert "needs its tokenizer" in page.inner_text("#trouble")
    broken = {"name": "model.safetensors", "mimeType": "", "buffer": b"\x05" + bytes(7) + b"hello"}
    vocabulary = {"name": "gpt2course-tokenizer.json", "mimeType": ""}
    vocabulary["buffer"] = (small / "gpt2course-tokenizer.json").read_bytes()
    page.set_input_files("#files", [broken, vocabulary])
    page.wait_for_function("document.querySelector('#trouble').textContent.includes('whole')")
    assert page.evaluate("model.config.n_embd") == 128
    page.evaluate("$('trouble').textContent = ''")


# The page ---------------------------------------------------------------------------------------


def test_a_link_shows_what_one_saw(page, browser, site):
    page.locator("#temperature").fill("0.5")
    page.click("#bars button >> nth=1")
    page.click("#one")
    page.locator(".word").nth(8).click()
    page.get_by_role("radio", name="layer 2, mean of the heads").click()
    page.locator("#tower button").nth(1).click()
    settle(page)
    seen = (
        "() => [state, opened, $('text').textContent, $('reads').textContent, $('bars').innerText]"
    )
    expected = page.evaluate(seen)
    assert expected[0]["cursor"] == 9 < len(expected[0]["ids"])
    other = open_at(browser, page.url)
    assert other.evaluate(seen) == expected
    other.close()
    wrong = open_at(browser, site + "#start=It&new=9999.x.5&at=77&layer=9&head=mean&temperature=-3")
    assert wrong.evaluate("[state.ids.length, state.cursor, state.layer, state.temperature]") == [
        2,
        2,
        0,
        1,
    ]
    assert not wrong.faults
    wrong.close()


def test_the_same_seed_writes_the_same_text_and_another_one_another(page):
    write = """async seed => {
        await restart(EXAMPLES[0]);
        set({ seed });
        for (let n = 0; n < 12; n++) await choose(drawNext());
        return state.ids.join();
    }"""
    first, again, other = (page.evaluate(write, seed) for seed in (3, 3, 4))
    assert first == again != other


def test_going_back_loses_nothing_until_one_writes_on(page):
    page.click("#bars button >> nth=0")
    page.click("#one")
    page.wait_for_function("state.cursor === 11 && settled()")
    written = page.evaluate("[...state.ids]")
    page.locator(".word").nth(3).click()
    page.wait_for_function("state.cursor === 4 && settled()")
    assert page.locator(".word.later").count() == 7
    assert "robot (3)" in page.inner_text("#reads")
    page.locator(".word").nth(10).click()
    page.wait_for_function("state.cursor === 11 && settled()")
    assert page.evaluate("state.ids") == written
    page.click("#back")
    page.wait_for_function("state.cursor === 10 && settled()")
    page.click("#bars button >> nth=4")
    page.wait_for_function("state.cursor === 11 && settled()")
    assert page.evaluate("state.ids.slice(0, 10)") == written[:10]
    page.click("#again")
    page.wait_for_function("state.ids.length === 9 && settled()")


def test_the_keyboard_alone_will_do(page):
    said, key = partial(page.inner_text, "#said"), page.keyboard.press

    def tab_to(selector):
        for _ in range(60):
            key("Tab")
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
        raise AssertionError(f"Tab does not reach {selector}")

    page.evaluate("document.activeElement.blur()")
    tab_to(".word")
    key("ArrowLeft")
    assert said().startswith("because (7) in layer 0, head 3 reads:")
    key("Home")
    key("ArrowRight")
    key("Enter")
    page.wait_for_function("state.cursor === 2 && settled()")
    assert said().startswith("At token 2, watched. Next:")
    key("End")
    key("Enter")
    page.wait_for_function("state.cursor === 9 && settled()")
    tab_to("#write")
    key("Enter")
    page.wait_for_function("state.cursor > 11")
    key("Enter")
    page.wait_for_function("!writing && settled()")
    tab_to("#start")
    page.keyboard.type("By the river the bank was")
    key("Enter")
    page.wait_for_function("state.start.endsWith('By the river the bank was') && settled()")
    tab_to("#bars button")
    before = page.evaluate("state.cursor")
    key("Enter")
    page.wait_for_function("n => state.cursor === n + 1 && settled()", arg=before)
    page.wait_for_function("$('said').textContent.includes('Next: ')")
    tab_to("#temperature")
    key("End")
    assert page.inner_text("output[for=temperature]") == "2.0"
    assert "was" in page.inner_text("#bars")
    tab_to("#heads button")
    key("ArrowDown")
    key("ArrowRight")
    assert "layer 1, mean of the heads reads:" in said()
    tab_to("#heat")
    key("ArrowUp")
    key("ArrowLeft")
    assert "reads" in said() and "layer 1" in said()
    tab_to("#table summary")
    key("Enter")
    page.wait_for_selector("#table td")
    assert page.locator("#table thead th").count() == 1 + 4 + 1
    tab_to("#tower button")
    key("Enter")
    tab_to(".opened select")
    page.keyboard.type("logits")
    page.wait_for_function("document.querySelectorAll('.numbers li').length === 2048")
    key("Shift+Tab")
    key("Enter")
    assert page.locator(".numbers").count() == 0


def test_every_control_has_a_name(page):
    page.locator("#tower button").first.click()
    unnamed = """() => [...document.querySelectorAll("button, input, select, textarea, [tabindex], [role]")]
        .filter(e => !(e.ariaLabel || e.labels?.[0]?.textContent.trim() || e.textContent.trim()
            || e.getAttribute("aria-labelledby") || ["trouble", "said"].includes(e.id)))
        .map(e => e.outerHTML)"""  # noqa: E501
    assert page.evaluate(unnamed) == []


@pytest.mark.parametrize("width", [390, 900, 1400])
def test_nothing_hangs_over_the_edge(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    page.evaluate("openFloor(2)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    cut = """() => [...document.querySelectorAll("section")].filter(section =>
        section.scrollWidth > section.clientWidth).map(section => section.id)"""
    assert page.evaluate(cut) == []
    page.set_viewport_size({"width": 1400, "height": 900})


def test_it_works_from_a_folder_without_a_server(browser, folder):
    page = open_at(browser, (folder / "index.html").as_uri(), reduced_motion="reduce")
    assert page.evaluate("model.config.n_embd") == 128
    assert "robot (3) 99." in page.inner_text("#reads")
    assert not page.faults
    assert all(url.startswith(("file:", "data:")) for url in page.asked)
    page.close()
