"""Models to and from a Hub on loopback, with the real client: whole, once, told by name where something is wrong."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hemadata
import hemamodel
import huggingface_hub.constants
import huggingface_hub.utils._http as client
import pytest
import torch
import yaml
from fake_hub import OWNER, READER, FakeHub, File, Repo
from hemadata.errors import HubError
from hemadata.hub import answers
from hemadata.phantom import Smear
from hemamodel.card import REPORT, what_was_read
from hemamodel.cli import app
from hemamodel.errors import HemaError, InputMissingError, UsageError, WeightsError
from hemamodel.fetch import is_ours, locate
from hemamodel.hub import Pushed, push, save_pretrained
from hemamodel.train.runs import Run, read_run
from hemamodel.train.start import Call, train
from huggingface_hub import ModelCard
from huggingface_hub.utils import disable_progress_bars
from typer.testing import CliRunner

REPO = "org/cells"
SETTINGS = (
    "queries=10", "dim=32", "hidden=32", "text.dim=32", "text.layers=1", "backbone.width=8", "epochs=1", "batch_size=4",
    "data.train={classification: {raabin: 1, lisc: 1}}",
    "tasks.classification.image.sizes=[64]", "tasks.classification.image.evaluation_size=64",
)  # fmt: skip
SCORES = {
    "stage": 1, "seed": 0, "split": "test", "overfit": 4, "blind": False, "absent": [],
    "sources": {"classification": ["raabin"]},
    "scores": {
        "classification": {
            "samples": 7, "macro_f1": 0.5, "intervals": {"macro_f1": [0.25, 0.75]},
            "split_upstream": {"samples": 9, "macro_f1": 0.625, "leaked": 4},
        }
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def trained(phantom_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with what must not be published beside what must."""
    out = tmp_path_factory.mktemp("runs")
    run = train(Call(1, phantom_corpus, out, "tiny", assignments=SETTINGS, overfit=4, device="cpu"))
    ids = dict.fromkeys(("corpus_id", "trained_on_corpus_id"), run.settings.corpus_id)
    (run.path / REPORT).parent.mkdir()
    (run.path / REPORT).write_text(json.dumps({"run": str(run.path), **SCORES, **ids}))
    (run.path / "evaluation-test" / "pictures.html").write_text("pictures of others")
    return run


@pytest.fixture
def run(trained: Run, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained.path, tmp_path / "runs" / trained.name))


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("picture") / "cell.png"
    Smear(1, (90, 70)).single_cell(1, "lymphocyte", traits={}).image.save(path)
    return path


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", OWNER)
    for module in (client, answers):
        monkeypatch.setattr(module.time, "sleep", lambda seconds: None)
    disable_progress_bars()
    monkeypatch.chdir(tmp_path)
    with FakeHub() as served:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", served.endpoint)
        monkeypatch.setattr(
            huggingface_hub.constants,
            "HUGGINGFACE_CO_URL_TEMPLATE",
            served.endpoint + "/{repo_id}/resolve/{revision}/{filename}",
        )
        yield served


def send(hub: FakeHub, run: Path, **about: Any) -> Pushed:
    return push(run, **({"repo": REPO, "endpoint": hub.endpoint, "token": OWNER} | about))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def files(repo: Repo, revision: str = "main") -> set[str]:
    return set(repo.tree(revision)) - {".gitattributes"}


def test_a_pushed_model_is_the_run(hub: FakeHub, run: Path, picture: Path, phantom_corpus: Path) -> None:
    done = send(hub, run, corpus=phantom_corpus)
    repo = hub.repos[REPO]
    text = {f"text/{path.name}" for path in (run / "text").iterdir()}
    reports = {"evaluation-test/report.json"}
    assert files(repo) == {"README.md", "run.json", "settings.json", "model.safetensors"} | text | reports
    assert repo.kind == "model" and len(repo.titles) == 2 and done.revision == repo.refs["main"]

    own, theirs = hemamodel.from_pretrained(run, device="cpu"), hemamodel.from_pretrained(REPO, device="cpu")
    for (name, mine), (other, fetched) in zip(
        own.model.state_dict().items(), theirs.model.state_dict().items(), strict=True
    ):
        assert name == other and torch.equal(mine, fetched)
    for task in ("classification", "detection", "segmentation"):
        said, again = (next(each([picture], task, threshold=0)) for each in (own, theirs))
        assert said.answer == again.answer
        assert said.mask is None or torch.equal(said.mask, again.mask)
    assert theirs.run.name == f"{REPO}@{repo.refs['main'][:12]}"


def test_a_second_push_changes_nothing_and_another_run_replaces_the_first(hub: FakeHub, run: Path) -> None:
    send(hub, run)
    repo, received = hub.repos[REPO], hub.received
    again = send(hub, run)
    assert (again.sent, again.deleted, again.revision) == ((), (), repo.refs["main"])
    assert len(repo.titles) == 2 and hub.received == received

    card = repo.tree()["README.md"].data.decode().replace("# cells\n", "# Our cells\n\nThanks to the clinic.\n")
    card = card.replace("tags:\n", "base_model: org/base\ntags:\n- ours\n")
    theirs = {"README.md": File(card.encode(), False), "cells.onnx": File(b"graph", False)}
    repo.commit("main", repo.tree() | theirs, "by hand")
    shutil.rmtree(run / "evaluation-test")
    done = send(hub, run)
    assert done.sent == ("README.md",) and done.deleted == ("evaluation-test/report.json",)
    assert hub.received == received and repo.tree()["cells.onnx"].data == b"graph"
    card = repo.tree()["README.md"].data.decode()
    assert "Thanks to the clinic." in card and "None were measured" in card
    data = ModelCard(card).data
    assert data.base_model == "org/base" and {"ours", "hematology"} <= set(data.tags)


@pytest.mark.parametrize("fault", [500, 429, "cut", "lost"])
@pytest.mark.parametrize("kind", ["create", "lfs_upload", "commit"])
def test_what_fails_in_passing_is_done_once(hub: FakeHub, run: Path, kind: str, fault: int | str) -> None:
    hub.fault = lambda asked, number: fault if (asked, number) == (kind, 0) else None
    done = send(hub, run)
    repo = hub.repos[REPO]
    assert len(repo.titles) == 2 and done.revision == repo.refs["main"] and "model.safetensors" in files(repo)


def test_a_hub_that_stays_down_is_told_and_the_next_push_goes_on(hub: FakeHub, run: Path) -> None:
    hub.fault = lambda asked, number: 500 if asked == "commit" else None
    with pytest.raises(HubError, match="Run the same push again"):
        send(hub, run)
    received, hub.fault = hub.received, lambda asked, number: None
    send(hub, run)
    assert hub.received == received and len(hub.repos[REPO].titles) == 2


def test_somebody_edits_the_card_meanwhile(hub: FakeHub, run: Path) -> None:
    def edit(kind: str, number: int) -> None:
        if (kind, number) == ("commit", 0):
            repo = hub.repos[REPO]
            repo.commit("main", repo.tree() | {"README.md": File(b"My words.\n", False)}, "edit")

    hub.fault = edit
    send(hub, run)
    card = hub.repos[REPO].tree()["README.md"].data.decode()
    assert "My words.\n" in card and "hemamodel:begin scores" in card


def test_a_pull_request_is_gone_on_with(hub: FakeHub, run: Path) -> None:
    with pytest.raises(UsageError, match="for a pull request"):
        send(hub, run, create_pr=True)
    repo = hub.add(REPO, {"README.md": b"Theirs.\n"}, kind="model")
    for _ in range(2):
        done = send(hub, run, create_pr=True, token=READER)
    assert files(repo) == {"README.md"} and "model.safetensors" in files(repo, "refs/pr/1")
    assert [one["status"] for one in repo.discussions] == ["open"] and len(repo.titles) == 2
    assert done.url.endswith("/discussions/1") and done.sent == ()


def test_no_token_no_right_no_name(hub: FakeHub, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HubError, match="does not know your token"):
        send(hub, run, token="hf_wrong")
    with pytest.raises(HubError, match="does not let you write"):
        send(hub, run, token=READER)
    for name in ("cells", "a/b/c", "org/na me", "org/--"):
        with pytest.raises(UsageError, match="ORG/NAME"):
            send(hub, run, repo=name)
    hub.add("org/bert", {"model.safetensors": b"x", "config.json": b"{}"}, kind="model")
    with pytest.raises(HubError, match="did not put there"):
        send(hub, run, repo="org/bert")
    monkeypatch.setattr("hemadata.hub.remote.get_token", lambda: None)
    with pytest.raises(InputMissingError, match="hf auth login"):
        send(hub, run, token=None)
    assert REPO not in hub.repos


def test_what_is_not_complete_or_damaged_is_not_published(hub: FakeHub, run: Path, phantom_corpus: Path) -> None:
    about = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(about | {"status": "running"}))
    with pytest.raises(UsageError, match="stopped after step"):
        send(hub, run)
    (run / "run.json").write_text(json.dumps(about))
    settings = json.loads((run / "settings.json").read_text())
    (run / "settings.json").write_text(json.dumps(settings | {"corpus_id": "another"}))
    with pytest.raises(UsageError, match="was trained on corpus another"):
        send(hub, run, corpus=phantom_corpus)
    with pytest.raises(HemaError, match="is of another run"):
        send(hub, run)
    weights = run / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="cannot be read"):
        send(hub, run)
    assert hub.repos == {}


def test_a_damaged_download_is_named(hub: FakeHub, run: Path) -> None:
    send(hub, run)
    weights = locate(REPO) / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-5] ^= 64
    weights.resolve().write_bytes(data)
    with pytest.raises(WeightsError, match=r"model\.safetensors is damaged"):
        hemamodel.from_pretrained(REPO, device="cpu")


def test_a_name_is_a_folder_first(hub: FakeHub, run: Path, tmp_path: Path) -> None:
    send(hub, run)
    asked = len(hub.seen)
    for name in (f"runs/{run.name}-slip", "cells", str(tmp_path / "no" / "run"), "../runs/x/y"):
        with pytest.raises(InputMissingError, match="holds no run"):
            hemamodel.from_pretrained(name)
    assert hemamodel.from_pretrained(f"runs/{run.name}", device="cpu").run.path == Path("runs") / run.name
    with pytest.raises(UsageError, match="has no revision"):
        hemamodel.from_pretrained(run, revision="main")
    assert len(hub.seen) == asked, "nobody was asked"
    with pytest.raises(InputMissingError, match="no model of that name"):
        hemamodel.from_pretrained("org/nothing")
    with pytest.raises(InputMissingError, match="no revision v9"):
        hemamodel.from_pretrained(REPO, revision="v9")
    hub.repos[REPO].gated = "manual"
    first = hub.repos[REPO].commits[hub.repos[REPO].refs["main"]]
    hub.repos[REPO].commit("main", first | {"run.json": File(b"[]", False)}, "nonsense")
    with pytest.raises(InputMissingError, match="holds no run that can be read"):
        hemamodel.from_pretrained(REPO)


def test_commands_take_the_name(hub: FakeHub, run: Path, picture: Path, phantom_corpus: Path) -> None:
    sent = CliRunner().invoke(app, ["push", str(run), "--repo", REPO, "--json"])
    assert sent.exit_code == 0, sent.output
    told = json.loads(sent.stdout)
    assert told["revision"] == hub.repos[REPO].refs["main"] and "model.safetensors" in told["sent"]
    asked = CliRunner().invoke(app, ["predict", str(picture), "--run", REPO, "--task", "classification"])
    assert asked.exit_code == 0 and json.loads(asked.stdout)["label"], asked.output
    judged = CliRunner().invoke(app, ["evaluate", REPO, "--corpus", str(phantom_corpus)])
    assert isinstance(judged.exception, UsageError) and "--report" in str(judged.exception)
    call = Call(
        1, phantom_corpus, Path("more"), "tiny", init_from=Path(REPO), assignments=SETTINGS[6:], overfit=4, device="cpu"
    )
    assert train(call).settings.parent == f"{REPO}@{hub.repos[REPO].refs['main'][:12]}"
    dry = CliRunner().invoke(app, ["push", str(run), "--repo", "org/other", "--dry-run"])
    assert "Nothing was sent" in dry.output and "org/other" not in hub.repos


def test_the_card_tells_data_scores_leakage_and_limits(run: Path, tmp_path: Path, phantom_corpus: Path) -> None:
    folder = save_pretrained(run, tmp_path / "saved", phantom_corpus, REPO)
    card = ModelCard.load(folder / "README.md")
    assert card.data.library_name == "hemamodel" and card.data.pipeline_tag == "image-classification"
    with hemadata.open(phantom_corpus) as corpus:
        page, read = corpus.manifests["raabin"].facts, what_was_read(read_run(run), corpus)
    assert list(read.tasks) == ["raabin"], "lisc is not in this corpus"
    for part in (
        page["citation"], page["license"], read.runs[0].settings.corpus_id, "0.500 (0.250 to 0.750)",
        "4 of its 9 rows are in the training part", "not for diagnosis", f'from_pretrained("{REPO}")', "first 4 images",
    ):  # fmt: skip
        assert part in card.text, part
    assert card.data.license == read.license[0]
    names = [each.name for each in (tmp_path / "saved" / "evaluation-test").iterdir()]
    assert names == ["report.json"], "no pictures of others"
    with pytest.raises(UsageError, match="exists"):
        save_pretrained(run, folder)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["runs", "saved"]
    again = save_pretrained(folder, tmp_path / "again", phantom_corpus, REPO)
    assert contents(again) == contents(folder), "a saved model is a run like any other"


def test_licence_of_the_weights(run: Path, tmp_path: Path, phantom_corpus: Path) -> None:
    with hemadata.open(phantom_corpus) as corpus:
        read = what_was_read(read_run(run), corpus)
    whole = dict(read.licences)
    for where, licence in (("public", "apache-2.0"), ("gated", "other"), ("nowhere", "other")):
        read.licences = {slug: type(each)(**(_fields(each) | {"where": where})) for slug, each in whole.items()}
        assert read.license[0] == licence
    assert what_was_read(read_run(run)).license == ("other", "sources-not-all-known")
    settings = json.loads((run / "settings.json").read_text())
    (run / "settings.json").write_text(json.dumps(settings | {"parent": "stage1-tiny-000"}))
    with hemadata.open(phantom_corpus) as corpus:
        read = what_was_read(read_run(run), corpus)
    assert read.license[0] == "other" and "goes back to stage1-tiny-000" in read.gaps[0]


def _fields(each: Any) -> dict[str, Any]:
    return {name: getattr(each, name) for name in each.__slots__}


def test_a_child_tells_what_its_parents_read(run: Path, phantom_corpus: Path) -> None:
    child = Path(shutil.copytree(run, run.with_name("child")))
    settings = json.loads((child / "settings.json").read_text()) | {"parent": run.name}
    settings["stage"]["data"] |= {"train": {"classification": {"wbcatt": 1}}, "held_out": [
        {"source": "raabin", "reason": "unseen"}, {"source": "acevedo", "reason": "same cells"}]}  # fmt: skip
    (child / "settings.json").write_text(json.dumps(settings))
    with hemadata.open(phantom_corpus) as corpus:
        read = what_was_read(read_run(child), corpus)
    assert set(read.tasks) == {"raabin", "wbcatt"} and read.gaps == []
    assert "raabin" not in read.held_out, "the parent has read it"


def test_only_files_of_a_model_are_taken() -> None:
    ours = ("run.json", "text/config.json", "evaluation-test/report.md", "model.safetensors")
    theirs = ("README.md", "log.jsonl", "checkpoint-000400/model.safetensors", "x/run.json", "text/a/b", "config.json")
    assert all(map(is_ours, ours)) and not any(map(is_ours, theirs))


def test_import_is_light() -> None:
    told = "import hemamodel, sys; print('torch' in sys.modules, 'huggingface_hub' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False", "False"]
    with pytest.raises(AttributeError, match="nothing"):
        hemamodel.nothing  # noqa: B018


def test_front_matter_is_yaml(run: Path, tmp_path: Path) -> None:
    text = (save_pretrained(run, tmp_path / "saved") / "README.md").read_text()
    front = yaml.safe_load(text.split("---\n")[1])
    assert front["license"] == "other" and "Licences were not looked up" in text and "* raabin: classification" in text
