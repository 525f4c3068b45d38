"""Notes, events, MIDI files and attention by distance."""

import io
import random
import subprocess
import sys
from inspect import unwrap

import mido
import numpy as np
import pytest
import torch
from torch.testing import assert_close

from gpt2course.attention import masked_attention
from gpt2course.config import GPT2Config
from gpt2course.corpus import melodies
from gpt2course.kv_cache import KVCache
from gpt2course.model import GPT2
from gpt2course.multihead import CausalSelfAttention
from gpt2course.music import (
    MIDI_BYTES,
    N_EVENTS,
    NOTE_OFF,
    NOTE_ON,
    SHIFT,
    VELOCITY,
    Note,
    RelativeSelfAttention,
    decode_events,
    encode_notes,
    event_name,
    read_midi,
    relative_scores,
    synthesise,
    write_midi,
)


def performance(seed, n=40, longest=300):
    """Notes of every kind, in no order; two of one pitch follow each other or leave a pause."""
    rng = random.Random(seed)
    notes, ends = [], {}
    for _ in range(rng.randrange(n + 1)):
        pitch = rng.choice((0, 36, 60, 61, 64, 127, rng.randrange(128)))
        start = ends.get(pitch, 0) + rng.choice((0, 1, 99, 100, 101, rng.randrange(longest)))
        ends[pitch] = start + rng.choice((1, 100, 101, 200, rng.randrange(1, longest)))
        notes.append(Note(start, ends[pitch], pitch, rng.randrange(128)))
    rng.shuffle(notes)
    return notes


def heard(notes):
    """What the events can tell of notes: velocities as the middle of their bin."""
    binned = [note._replace(velocity=note.velocity // 4 * 4 + 2) for note in notes]
    return sorted(binned, key=lambda note: (note.start, note.pitch))


# Events -----------------------------------------------------------------------------------------


def test_the_four_kinds_of_events_are_388():
    assert (NOTE_ON, NOTE_OFF, SHIFT, VELOCITY, N_EVENTS) == (0, 128, 256, 356, 388)
    assert N_EVENTS == 128 + 128 + 100 + 32


def test_one_note_worked_by_hand():
    # velocity 80 is in bin 20, 120 steps of silence are 100 + 20, then on, 35 steps, off
    assert encode_notes([Note(120, 155, 60, 80)]) == [355, 275, 376, 60, 290, 188]


def test_a_chord_and_a_repeated_note_worked_by_hand():
    notes = [Note(10, 30, 67, 64), Note(0, 10, 60, 64), Note(10, 20, 60, 67), Note(10, 20, 64, 68)]
    assert encode_notes(notes) == [
        372, 60,  # velocity 64, the first C
        265, 188, 60, 373, 64, 372, 67,  # off before on, lower first; 67 is the bin of 64, 68 not
        265, 188, 192,  # both end
        265, 195,
    ]  # fmt: skip


@pytest.mark.parametrize("seconds, shifts", [(1, [256]), (100, [355]), (101, [355, 256]),
                                             (250, [355, 355, 305])])  # fmt: skip
def test_a_wait_is_as_few_shifts_as_possible_the_longest_first(seconds, shifts):
    assert encode_notes([Note(0, seconds, 60, 64)]) == [372, 60, *shifts, 188]


def test_a_thousand_random_performances_come_back_up_to_the_velocity_bin():
    kinds = set()
    for seed in range(1000):
        notes = performance(seed)
        ids = encode_notes(notes)
        assert decode_events(ids) == heard(notes), seed
        assert encode_notes(decode_events(ids)) == ids, seed
        kinds |= set(ids)
    assert {0, 127, 128, 255, 256, 355, 356, 387} <= kinds  # both ends of each kind were seen


def test_notes_are_not_changed_and_come_in_any_order():
    notes = performance(3)
    before, mixed = list(notes), random.Random(1).sample(notes, len(notes))
    assert encode_notes(notes) == encode_notes(mixed) and notes == before


def test_nothing_gives_nothing():
    assert encode_notes([]) == [] and decode_events([]) == []


@pytest.mark.parametrize(
    "ids, notes",
    [
        ([372, 60, 265], [Note(0, 10, 60, 66)]),  # never ended: until the last time
        ([372, 60], [Note(0, 0, 60, 66)]),
        ([188, 372, 60, 265, 188, 188], [Note(0, 10, 60, 66)]),  # offs without an on
        ([372, 60, 188], [Note(0, 0, 60, 66)]),  # of no length
        ([372, 60, 265, 60, 265, 188], [Note(0, 10, 60, 66), Note(10, 20, 60, 66)]),
        ([60, 265, 188], [Note(0, 10, 60, 66)]),  # before any velocity
        ([372, 67, 60, 265, 188, 195], [Note(0, 10, 60, 66), Note(0, 10, 67, 66)]),
    ],
)
def test_events_that_no_performance_gives_have_a_meaning_too(ids, notes):
    assert decode_events(ids) == notes


@pytest.mark.parametrize(
    "notes, told",
    [
        ([Note(5, 5, 60, 64)], "end after that, got Note"),
        ([Note(-1, 5, 60, 64)], "begin at 0 or later"),
        ([Note(0, 5, 128, 64)], "0 to 127"),
        ([Note(0, 5, 60, 128)], "0 to 127"),
        ([Note(0, 9, 60, 64), Note(8, 12, 60, 64)], "must not overlap.*end the first one at 8"),
        ([Note(0, 9, 60, 64), Note(0, 9, 60, 64)], "must not overlap"),
    ],
)
def test_notes_that_have_no_events_are_refused(notes, told):
    with pytest.raises(ValueError, match=told):
        encode_notes(notes)


@pytest.mark.parametrize("token_id", [-1, 388, 50256])
def test_an_id_that_is_no_event_is_refused(token_id):
    with pytest.raises(ValueError, match=f"0 to 387, got {token_id}"):
        decode_events([372, token_id])


def test_a_million_events_are_encoded_and_decoded():
    notes = [Note(20 * i, 20 * i + 20, 60 + i % 2, 64) for i in range(333_333)]
    ids = encode_notes(notes)
    assert len(ids) == 1_000_000 and len(decode_events(ids)) == 333_333


def test_events_have_names():
    names = [event_name(i) for i in (60, 189, 256, 355, 372)]
    assert names == ["on C4", "off C♯4", "wait 10 ms", "wait 1000 ms", "velocity 64-67"]


# MIDI files -------------------------------------------------------------------------------------


@pytest.fixture
def written(tmp_path):
    def write(*tracks, ticks_per_beat=480, kind=1):
        path = tmp_path / "some.mid"
        tracks = [mido.MidiTrack(track) for track in tracks]
        mido.MidiFile(tracks=tracks, ticks_per_beat=ticks_per_beat, type=kind).save(path)
        return path

    return write


def on(pitch, time, velocity=64, channel=0):
    return mido.Message("note_on", note=pitch, velocity=velocity, time=time, channel=channel)


def off(pitch, time, channel=0):
    return mido.Message("note_off", note=pitch, time=time, channel=channel)


def test_a_hundred_performances_survive_a_file(tmp_path):
    for seed in range(100):
        notes = [note._replace(velocity=max(note.velocity, 1)) for note in performance(seed)]
        write_midi(tmp_path / "a.mid", notes)
        assert read_midi(tmp_path / "a.mid") == sorted(notes), seed


def test_what_is_written_is_what_midos_own_player_would_play(tmp_path):
    write_midi(tmp_path / "a.mid", [Note(10, 30, 60, 64), Note(30, 130, 60, 100)])
    played, now = [], 0.0
    for message in mido.MidiFile(tmp_path / "a.mid"):
        now += message.time
        if not message.is_meta:
            played.append((round(now, 6), message.type, message.note, message.velocity))
    assert played == [
        (0.1, "note_on", 60, 64), (0.3, "note_off", 60, 0),
        (0.3, "note_on", 60, 100), (1.3, "note_off", 60, 0),
    ]  # fmt: skip


def test_tempo_changes_tracks_and_offs_by_velocity_0_are_understood(written):
    slower = mido.MetaMessage("set_tempo", tempo=1_000_000, time=480)  # from beat 1 on: 1 s a beat
    path = written([slower], [on(60, 0), on(60, 960, velocity=0)], [on(72, 480), off(72, 240)])
    assert read_midi(path) == [Note(0, 150, 60, 64), Note(50, 100, 72, 64)]


def test_overlapping_notes_of_one_pitch_end_where_the_key_is_struck_again(written):
    path = written([on(60, 0), on(60, 96), off(60, 96), off(60, 96)])  # 96 ticks are 100 ms
    assert read_midi(path) == [Note(0, 10, 60, 64), Note(10, 20, 60, 64)]
    assert len(encode_notes(read_midi(path))) == 7


def test_one_channels_off_does_not_end_anothers_note(written):
    path = written([on(60, 0), off(60, 96, channel=1), off(60, 96)])
    assert read_midi(path) == [Note(0, 20, 60, 64)]


def test_two_tracks_that_strike_a_pitch_at_once_are_one_note(written):
    path = written([on(60, 0), off(60, 96)], [on(60, 0, 90, channel=1), off(60, 192, channel=1)])
    assert read_midi(path) == [Note(0, 20, 60, 90)]


def test_drums_are_passed_over_and_unended_notes_last_to_the_end(written):
    path = written([on(38, 0, channel=9), on(60, 0), off(38, 96, channel=9)])
    assert read_midi(path) == [Note(0, 10, 60, 64)]


def test_a_note_shorter_than_a_step_has_one(written):
    assert read_midi(written([on(60, 0), off(60, 1)])) == [Note(0, 1, 60, 64)]


def test_a_file_without_notes_is_no_notes(written):
    assert read_midi(written([mido.MetaMessage("track_name", name="silence")])) == []


@pytest.mark.parametrize(
    "data, told",
    [
        (b"", "is empty"),
        (b"\x89PNG\r\n", r"begins with b'\\x89PNG'"),
        (b"RIFF\x00\x00\x00\x00RMID", "begins with b'RIFF'"),
        (b"MThd", "damaged"),
        (b"MThd\x00\x00\x00\x06\x00\x01\x00\x01\xe7\x28MTrk\x00\x00\x00\x04\x00\xff\x2f\x00",
         "film frames"),
        (b"MThd\x00\x00\x00\x06\x00\x02\x00\x01\x01\xe0MTrk\x00\x00\x00\x04\x00\xff\x2f\x00",
         "type 2"),
        (b"MThd\x00\x00\x00\x06\x00\x01\x00\x01\x01\xe0MTrk\x00\x00\x00\x04\x00\x90", "damaged"),
    ],
)  # fmt: skip
def test_what_is_no_midi_file_is_refused_by_name(tmp_path, data, told):
    path = tmp_path / "a.mid"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=told) as raised:
        read_midi(path)
    assert "a.mid" in str(raised.value)


def test_a_missing_file_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_midi(tmp_path / "none.mid")


def test_damaged_files_are_refused_or_read_and_nothing_else(tmp_path):
    write_midi(path := tmp_path / "a.mid", performance(5))
    data, rng = path.read_bytes(), random.Random(0)
    for _ in range(300):
        damaged = bytearray(data)
        for _ in range(rng.randrange(1, 6)):
            damaged[rng.randrange(4, len(data))] = rng.randrange(256)
        path.write_bytes(damaged[: rng.randrange(10, len(data) + 1)])
        try:
            encode_notes(read_midi(path))
        except ValueError as error:
            assert "MIDI" in str(error)


def test_a_file_of_a_million_events_is_refused_before_it_is_read(tmp_path):
    pair = b"\x01\x90\x3c\x40\x01\x3c\x00"
    track = pair * 500_000
    header = b"MThd\x00\x00\x00\x06\x00\x00\x00\x01\x01\xe0MTrk"
    (tmp_path / "a.mid").write_bytes(header + len(track).to_bytes(4, "big") + track)
    with pytest.raises(ValueError, match=f"at most {MIDI_BYTES:,} bytes.*save a part"):
        read_midi(tmp_path / "a.mid")


def test_a_file_that_lasts_for_days_is_refused(written):
    path = written([on(60, 0), off(60, 2**27)])
    with pytest.raises(ValueError, match="at most 10 hours"):
        read_midi(path)


def test_notes_of_no_length_and_velocity_0_can_be_written(tmp_path):
    write_midi(tmp_path / "a.mid", [Note(5, 5, 60, 64), Note(5, 9, 61, 0)])
    assert read_midi(tmp_path / "a.mid") == [Note(5, 9, 61, 1)]


def test_a_refused_performance_leaves_the_old_file(tmp_path):
    write_midi(path := tmp_path / "a.mid", [Note(0, 9, 60, 64)])
    with pytest.raises(ValueError, match="overlap"):
        write_midi(path, [Note(0, 9, 60, 64), Note(5, 9, 60, 64)])
    assert read_midi(path) == [Note(0, 9, 60, 64)]
    assert [file.name for file in tmp_path.iterdir()] == ["a.mid"]


def test_without_mido_the_module_works_and_reading_says_what_to_install():
    code = """if True:
        import sys
        class Missing:
            def find_spec(self, name, path=None, target=None):
                if name == "mido":
                    raise ModuleNotFoundError(name)
        sys.modules["mido"] = None
        import gpt2course.extras as extras
        extras.find_spec = lambda name: None
        from gpt2course.music import Note, encode_notes, read_midi
        assert encode_notes([Note(0, 1, 60, 64)]) == [372, 60, 256, 188]
        try:
            read_midi("a.mid")
        except ModuleNotFoundError as error:
            assert error.name == "mido" and "gpt2course[course]" in str(error)
        else:
            raise AssertionError"""
    subprocess.run([sys.executable, "-c", code], check=True)


# Sound ------------------------------------------------------------------------------------------


def test_the_sound_has_the_pitch_and_the_length_of_its_note():
    sound = synthesise([Note(0, 100, 69, 127)], rate=8000)
    assert sound.dtype == np.float32 and len(sound) == pytest.approx(1.12 * 8000, abs=2)
    strongest = np.abs(np.fft.rfft(sound[:8000])).argmax()  # bins of 1 Hz
    assert strongest == pytest.approx(440, abs=1)


def test_loud_is_louder_and_nothing_is_above_1():
    soft, loud = (np.abs(synthesise([Note(0, 50, 60, v)])).max() for v in (30, 100))
    many = synthesise([Note(0, 50, pitch, 127) for pitch in range(40, 90)])
    assert soft < loud / 4 and np.abs(many).max() == pytest.approx(1.0)
    assert np.isfinite(synthesise([])).all() and len(synthesise([])) < 2000


def test_the_highest_note_does_not_fold_down():
    sound = synthesise([Note(0, 100, 127, 127)], rate=8000)  # 12.5 kHz
    assert not sound.any()
    assert io.BytesIO(sound.tobytes()).getbuffer().nbytes == 4 * len(sound)


# Relative positions -----------------------------------------------------------------------------


def direct_sum(q, table):
    B, nh, T, hs = q.shape
    scores = torch.zeros(B, nh, T, T, dtype=q.dtype)
    for i in range(T):
        for j in range(i + 1):
            scores[:, :, i, j] = (q[:, :, i] * table[T - 1 - (i - j)]).sum(-1)
    return scores


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 1, 4, 2), (2, 3, 5, 7), (3, 1, 8, 4)])
def test_skewing_gives_the_direct_sum(shape):
    torch.manual_seed(0)
    q, table = torch.randn(shape, dtype=torch.float64), torch.randn(shape[2:], dtype=torch.float64)
    assert_close(relative_scores(q, table), direct_sum(q, table))


def test_relative_scores_worked_by_hand():
    q = torch.tensor([[[[1.0], [10.0], [100.0]]]])
    table = torch.tensor([[3.0], [2.0], [1.0]])  # two back, one back, itself
    want = [[1.0, 0.0, 0.0], [20.0, 10.0, 0.0], [300.0, 200.0, 100.0]]
    assert relative_scores(q, table)[0, 0].tolist() == want


def test_a_table_of_another_length_is_refused():
    with pytest.raises(ValueError, match=r"T=3 distances, got 5; take the last ones: table\[-3:\]"):
        unwrap(relative_scores)(torch.zeros(1, 1, 3, 2), torch.zeros(5, 2))


def relative_attention(n_embd=8, n_head=2, n_ctx=6):
    torch.manual_seed(1)
    layer = RelativeSelfAttention(n_embd, n_head, n_ctx)
    torch.nn.init.normal_(layer.table)
    return layer


def test_a_table_of_zeros_attends_like_gpt2():
    torch.manual_seed(0)
    plain, relative = CausalSelfAttention(8, 2), RelativeSelfAttention(8, 2, 9)
    relative.load_state_dict(plain.state_dict() | {"table": relative.table})
    x = torch.randn(3, 5, 8)
    assert_close(relative(x), plain(x))


def test_attention_by_distance_is_the_softmax_of_both_sums():
    layer, x = relative_attention(), torch.randn(2, 5, 8)
    q, k, v = (part.unflatten(-1, (2, 4)).transpose(1, 2) for part in layer.c_attn(x).chunk(3, -1))
    scores = (q @ k.mT + direct_sum(q, layer.table[-5:])) / 2.0
    weights = scores.masked_fill(~torch.ones(5, 5, dtype=bool).tril(), -torch.inf).softmax(-1)
    assert_close(layer(x), layer.c_proj((weights @ v).transpose(1, 2).flatten(2)))
    layer.table.data.zero_()
    merged = layer.c_proj(masked_attention(q, k, v).transpose(1, 2).flatten(2))
    assert_close(layer(x), merged)


def test_moving_everything_changes_nothing_without_absolute_positions():
    layer, x = relative_attention(n_ctx=9), torch.randn(1, 4, 8)
    q, k, _ = (part.unflatten(-1, (2, 4)).transpose(1, 2) for part in layer.c_attn(x).chunk(3, -1))
    longer = torch.cat((torch.randn(1, 2, 3, 4), k), dim=2)
    alone, behind = layer.weights(q, k), layer.weights(q, longer)[..., 3:]
    assert_close(behind / behind.sum(-1, keepdim=True), alone)


def test_a_model_with_relative_attention_writes_with_a_cache_as_without():
    torch.manual_seed(0)
    model = GPT2(GPT2Config(n_layer=2, n_head=2, n_embd=8, n_ctx=7, vocab_size=11))
    for block in model.h:
        block.attn = relative_attention(n_ctx=7)
    model.requires_grad_(False)
    idx, cache = torch.randint(11, (2, 7)), KVCache.for_model(model, 2)
    pieces = [model(idx[:, a:b], cache) for a, b in ((0, 3), (3, 4), (4, 6), (6, 7))]
    assert_close(torch.cat(pieces, dim=1), model(idx))


def test_more_positions_than_distances_are_refused():
    with pytest.raises(ValueError, match="6 distances, got 7"):
        relative_attention()(torch.zeros(1, 7, 8))


# The music --------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_music_and_its_notes_have_events():
    one, same = melodies.pieces(5, 20), melodies.pieces(5, 20)
    assert one == same and one != melodies.pieces(6, 20)
    for piece in one:
        notes = [Note(*tone) for tone in piece.tones]
        assert decode_events(encode_notes(notes)) == heard(notes)
        assert notes == sorted(notes, key=lambda note: (note.start, note.pitch))


def test_held_out_motifs_are_never_in_the_training_music():
    train = {motif for piece in melodies.training_pieces(2000) for motif in piece.motifs}
    held = {motif for piece in melodies.heldout_pieces(200) for motif in piece.motifs}
    assert len(train) > 1000 and len(held) > 100 and not train & held


def test_every_bar_has_one_peak_that_is_highest_and_loudest():
    for piece in melodies.pieces(7, 50):
        bars = [*piece.bars, len(piece.tones) - 2]
        assert len(piece.peaks) == len(piece.bars) == 8
        for peak, first, end in zip(piece.peaks, bars, bars[1:], strict=False):
            others = [tone for i, tone in enumerate(piece.tones[first:end], first) if i != peak]
            assert all(tone[2] < piece.tones[peak][2] for tone in others)
            assert all(tone[3] < piece.tones[peak][3] for tone in others)


def test_motifs_return_with_their_rhythm_and_contour():
    piece = melodies.pieces(9, 1)[0]
    bars = [*piece.bars, len(piece.tones) - 2]
    rhythms = [
        tuple(end - start for start, end, _, _ in piece.tones[first + 1 : last])
        for first, last in zip(bars, bars[1:], strict=False)
    ]
    assert rhythms[:4] == rhythms[4:] and len(set(rhythms)) <= 2


def test_pieces_end_on_the_keynote():
    for piece in melodies.pieces(11, 20):
        low, high = (tone[2] for tone in piece.tones[-2:])
        assert high - low == 24 and piece.tones[0][2] == low
