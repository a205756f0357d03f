"""The text branch: tokens made on the spot, the untied head, and text that is generated from fused states."""

from pathlib import Path

import pytest
import torch
from hemamodel.config import load_preset
from hemamodel.model.hemaformer import CrossModalFusion
from hemamodel.model.text import TextBranch
from hemamodel.model.tokenizer import IGNORED, decode, load_tokenizer, target_ids, tokenize, word_tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import T5Config, T5ForConditionalGeneration, T5Tokenizer

SENTENCES = ["What is the texture of the cytoplasm?", "Clear cytoplasm, no vacuoles.", "It's light-blue."]


@pytest.fixture(scope="module")
def tokenizer() -> T5Tokenizer:
    return word_tokenizer(SENTENCES)


@pytest.fixture
def branch(tokenizer: T5Tokenizer) -> TextBranch:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    return TextBranch.from_scratch(len(tokenizer), dim=64, layers=2, heads=4, feed_forward=128).eval()


# tokens


def test_known_words_are_one_token_each(tokenizer: T5Tokenizer) -> None:
    ids, _ = tokenize(tokenizer, ["Clear cytoplasm, no vacuoles."])
    pieces = tokenizer.convert_ids_to_tokens(ids[0].tolist())
    assert pieces == ["▁Clear", "▁cytoplasm", ",", "▁no", "▁vacuoles", ".", "</s>"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("abcXYZ019.,;:()'-?", min_size=1, max_size=8), max_size=6))
def test_any_words_come_back(words: list[str]) -> None:
    tokenizer = word_tokenizer(SENTENCES)
    text = " ".join(words)
    assert decode(tokenizer, tokenize(tokenizer, [text])[0]) == [text]


def test_layout_is_that_of_t5(tokenizer: T5Tokenizer) -> None:
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id) == (0, 1, 2)
    sentinels = [tokenizer.convert_tokens_to_ids(f"<extra_id_{number}>") for number in range(100)]
    assert sentinels == list(range(len(tokenizer) - 1, len(tokenizer) - 101, -1))
    ids, _ = tokenize(tokenizer, ["no <extra_id_0>."])
    assert sentinels[0] in ids[0].tolist()


def test_the_same_sentences_give_the_same_tokens(tokenizer: T5Tokenizer, tmp_path: Path) -> None:
    assert word_tokenizer(reversed(SENTENCES)).get_vocab() == tokenizer.get_vocab()
    tokenizer.save_pretrained(tmp_path)
    loaded = load_tokenizer(tmp_path)
    texts = [*SENTENCES, "unseen <extra_id_3> words"]
    assert torch.equal(tokenize(loaded, texts)[0], tokenize(tokenizer, texts)[0])


def test_rare_words_are_spelt() -> None:
    small = word_tokenizer(["a a a b b c"], size=2)
    assert "▁b" in small.get_vocab() and "▁c" not in small.get_vocab()
    assert decode(small, tokenize(small, ["c b a"])[0]) == ["c b a"]


def test_padding_and_labels(tokenizer: T5Tokenizer) -> None:
    ids, padding = tokenize(tokenizer, ["", "no vacuoles"])
    assert ids.tolist()[0][0] == tokenizer.eos_token_id
    assert padding.tolist() == [[False, True, True], [False] * 3]
    assert tokenize(tokenizer, ["no"], pad_to=64)[0].shape == (1, 64)
    assert tokenize(tokenizer, ["no " * 99])[0].shape == (1, 64)
    labels = target_ids(tokenizer, ["", "no vacuoles"])
    assert labels[padding].tolist() == [IGNORED] * 2 and torch.equal(labels[~padding], ids[~padding])


# the head


def test_head_is_untied_and_survives_loading(branch: TextBranch) -> None:
    t5 = branch.t5
    assert t5.shared.weight.data_ptr() != t5.lm_head.weight.data_ptr()
    assert t5.encoder.embed_tokens.weight is t5.shared.weight is t5.decoder.embed_tokens.weight
    state = {key: torch.randn_like(value) for key, value in branch.state_dict().items()}
    for stack in ("encoder", "decoder"):
        state[f"t5.{stack}.embed_tokens.weight"] = state["t5.shared.weight"]
    branch.load_state_dict(state)
    assert torch.equal(t5.shared.weight, state["t5.shared.weight"])
    assert torch.equal(t5.lm_head.weight, state["t5.lm_head.weight"])
    t5.tie_weights()
    assert t5.shared.weight.data_ptr() != t5.lm_head.weight.data_ptr()


def test_a_folder_gives_back_the_same_weights(branch: TextBranch, tmp_path: Path) -> None:
    branch.t5.save_pretrained(tmp_path)
    loaded = TextBranch.from_pretrained(tmp_path)
    assert loaded.dim == branch.dim == 64
    assert loaded.t5.shared.weight.data_ptr() != loaded.t5.lm_head.weight.data_ptr()
    assert loaded.t5.config.scale_decoder_outputs is branch.t5.config.scale_decoder_outputs is False
    for key, value in branch.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value), key


def test_a_tied_model_keeps_its_head(tmp_path: Path) -> None:
    config = T5Config(vocab_size=40, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    T5ForConditionalGeneration(config).save_pretrained(tmp_path)
    t5 = TextBranch.from_pretrained(tmp_path).t5
    assert torch.equal(t5.shared.weight, t5.lm_head.weight)
    assert t5.shared.weight.data_ptr() != t5.lm_head.weight.data_ptr()


def test_groups_share_nothing_and_leave_nothing_out(branch: TextBranch) -> None:
    groups = [
        {id(parameter) for module in modules for parameter in module.parameters()}
        for modules in branch.groups().values()
    ]
    assert not groups[0] & groups[1]
    assert groups[0] | groups[1] == {id(parameter) for parameter in branch.parameters()}
    assert id(branch.t5.shared.weight) in groups[0] and id(branch.t5.lm_head.weight) in groups[1]
    branch.train()
    for modules in branch.groups().values():
        for module in modules:
            module.eval()
    assert not [name for name, module in branch.named_modules() if module.training and "dropout" in name]


# states in, text out


def test_padding_changes_nothing(branch: TextBranch, tokenizer: T5Tokenizer) -> None:
    text, labels = ["What is the texture?"], target_ids(tokenizer, ["Clear cytoplasm"])
    short, padding = tokenize(tokenizer, text)
    long, long_padding = tokenize(tokenizer, text, pad_to=20)
    states = branch.encode(short, padding)
    long_states = branch.encode(long, long_padding)
    torch.testing.assert_close(long_states[:, : short.shape[1]], states, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        branch.loss(long_states, long_padding, labels), branch.loss(states, padding, labels), rtol=1e-4, atol=1e-5
    )
    more = torch.nn.functional.pad(labels, (0, 3), value=IGNORED)
    torch.testing.assert_close(branch.loss(states, padding, more), branch.loss(states, padding, labels))
    assert torch.equal(branch.generate(long_states, long_padding), branch.generate(states, padding))


def test_states_can_be_decoded_again(branch: TextBranch, tokenizer: T5Tokenizer) -> None:
    states = branch.encode(*tokenize(tokenizer, SENTENCES))
    padding = tokenize(tokenizer, SENTENCES)[1]
    before = states.clone()
    beams = branch.generate(states, padding, beams=3, max_length=6)
    assert beams.shape[0] == len(SENTENCES) and beams.shape[1] <= 6
    assert torch.equal(branch.generate(states, padding, beams=3, max_length=6), beams)
    assert branch.generate(states, padding, max_length=6).shape[0] == len(SENTENCES)
    assert torch.equal(states, before)


def test_gradient_of_the_text_loss_reaches_image_and_every_parameter(
    branch: TextBranch, tokenizer: T5Tokenizer
) -> None:
    fusion = CrossModalFusion(8, 32, text_dim=branch.dim, image_dim=16, heads=4)
    ids, padding = tokenize(tokenizer, SENTENCES)
    image = torch.randn(len(SENTENCES), 10, 16, requires_grad=True)
    fused = fusion(branch.encode(ids, padding), padding, image, torch.zeros(len(SENTENCES), 10, dtype=torch.bool))
    branch.loss(*fused, target_ids(tokenizer, SENTENCES)).backward()
    assert image.grad is not None and image.grad.abs().flatten(1).sum(1).gt(0).all()
    parameters = [*branch.named_parameters(), *fusion.named_parameters()]
    assert not [name for name, parameter in parameters if parameter.grad is None or not parameter.grad.any()]


@pytest.mark.parametrize("beams", [1, 4])
def test_generated_text_is_about_the_image(branch: TextBranch, tokenizer: T5Tokenizer, beams: int) -> None:
    fusion = CrossModalFusion(8, 32, text_dim=branch.dim, image_dim=16, heads=4)
    question, answers = ["What is the texture?"] * 2, ["Clear cytoplasm.", "It's light-blue."]
    ids, padding = tokenize(tokenizer, question)
    images, image_padding = torch.randn(2, 6, 16), torch.zeros(2, 6, dtype=torch.bool)
    labels = target_ids(tokenizer, answers)
    optimizer = torch.optim.AdamW([*branch.parameters(), *fusion.parameters()], lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        branch.loss(*fusion(branch.encode(ids, padding), padding, images, image_padding), labels).backward()
        optimizer.step()

    def answer(images: torch.Tensor) -> list[str]:
        rows = slice(len(images))
        fused = fusion(branch.encode(ids[rows], padding[rows]), padding[rows], images, image_padding[rows])
        return decode(tokenizer, branch.generate(*fused, beams=beams, max_length=12))

    assert answer(images) == answers
    assert answer(images.flip(0)) == answers[::-1]
    assert [*answer(images[:1]), *answer(images[1:])] == answers


def test_half_precision(branch: TextBranch, tokenizer: T5Tokenizer) -> None:
    branch.to(torch.bfloat16)
    ids, padding = tokenize(tokenizer, SENTENCES)
    states = branch.encode(ids, padding)
    assert states.dtype == torch.bfloat16
    assert branch.loss(states, padding, target_ids(tokenizer, SENTENCES)).isfinite()
    assert len(branch.generate(states, padding, max_length=4)) == len(SENTENCES)


def test_base_size_is_that_of_the_checkpoint() -> None:
    text = load_preset("base").text
    with torch.device("meta"):
        branch = TextBranch.from_scratch(32_128, text.dim, text.layers, text.heads, text.hidden)
    assert sum(parameter.numel() for parameter in branch.parameters()) == 247_577_856
