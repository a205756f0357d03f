"""A tiny Mistral that has read what templates write: `python benchmarks/tiny_mistral.py FOLDER [STEPS]`.

Two layers, made and trained in about a minute on two cores from hemasynth's own prompts and replies, with a tokenizer
of their words. It knows the form of a reply and little more, which is what tests of engines need.
"""

import random
import sys
from collections.abc import Sequence
from pathlib import Path


def texts(labels: Path) -> list[tuple[str, str]]:
    """Return prompts and replies for the cells of label tables."""
    from hemasynth import prompt
    from hemasynth.engines.base import Request
    from hemasynth.engines.canary import QUESTION
    from hemasynth.engines.template import TemplateEngine
    from hemasynth.labels import read_labels
    from hemasynth.lexicon import load
    from hemasynth.plan import plan

    lexicon = load()
    items = plan(read_labels(labels), lexicon)
    replies = TemplateEngine().generate(Request(item) for item in items)
    pairs = [
        (prompt.render(reply.request.item, lexicon), reply.text.replace('": ', '":').replace(', "', ',"'))
        for reply in replies
    ]
    return [*pairs, (QUESTION, "This is a white blood cell.")]


def make(folder: Path, pairs: Sequence[tuple[str, str]], steps: int = 80, seed: int = 0) -> float:
    """Write model and tokenizer into a folder; returns the last loss."""
    import torch
    from hemasynth.engines.chat import encode, template_path
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import MistralConfig, MistralForCausalLM, PreTrainedTokenizerFast

    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1500,
        special_tokens=["<unk>", "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    words.train_from_iterator([part for pair in pairs for part in pair], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
    tokenizer.chat_template = template_path().read_text(encoding="utf-8")

    torch.manual_seed(seed)
    config = MistralConfig(
        vocab_size=len(tokenizer), hidden_size=128, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=4096, sliding_window=None,
        bos_token_id=1, eos_token_id=2, pad_token_id=2,
    )  # fmt: skip
    net = MistralForCausalLM(config).train()
    examples = []
    for question, reply in pairs:
        asked = encode(tokenizer, question)
        said = tokenizer(reply, add_special_tokens=False)["input_ids"] + [2]
        examples.append((asked + said, [-100] * len(asked) + said))
    draw = random.Random(seed)
    rate = 3e-3
    optimizer = torch.optim.AdamW(net.parameters(), lr=rate)
    loss = torch.tensor(0.0)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 10) * (1 - step / steps)
        batch = draw.sample(examples, min(8, len(examples)))
        if step < 0.85 * steps:  # mostly the end of the prompt and the reply: a fifth of the work
            batch = [(ids[-_tail(labels) :], labels[-_tail(labels) :]) for ids, labels in batch]
        width = max(len(ids) for ids, _ in batch)
        ids = torch.tensor([each + [2] * (width - len(each)) for each, _ in batch])
        wanted = torch.tensor([labels + [-100] * (width - len(labels)) for _, labels in batch])
        loss = net(input_ids=ids, labels=wanted).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    net.eval().to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return float(loss.detach())


def _tail(labels: list[int]) -> int:
    """Return the length of the reply and the 64 tokens before it."""
    return sum(label != -100 for label in labels) + 64


def main() -> None:
    import tempfile

    from hemadata import sources

    folder = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as raw:
        sources.get("wbcatt").draw(Path(raw), 60, 0)
        loss = make(folder, texts(Path(raw) / "wbcatt"), int(sys.argv[2]) if len(sys.argv) > 2 else 80)
    print(f"{folder}: last loss {loss:.3f}")


if __name__ == "__main__":
    main()
