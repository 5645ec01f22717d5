"""What is read off records, and merging finished runs into results/records.jsonl."""
import json
import math
import shutil

import pytest

import by_hand
from by_hand import record
from experiments import ask, declarations, records, runs


# ---- one record -----------------------------------------------------------------------------------------------------

def test_a_metric_is_of_the_result_or_of_the_log_at_its_end_or_at_an_epoch():
    of_loss = record("a/b", train=[2.0, 1.0], valid=[3.0, None], test_acc=0.5,
                     curves={"penalty": [0.4, 0.2], "tail_loss": [None, 0.9], "test_acc": [0.1, 0.2], "lr": []})
    assert records.value(of_loss, "test_acc") == 0.5 and records.value(of_loss, "test_acc@2") == 0.2
    assert records.value(of_loss, "tail_loss") == 0.9 and records.value(of_loss, "tail_loss@1") is None
    assert records.value(of_loss, "train_loss@3") is None and records.value(of_loss, "lr") is None
    assert records.value(of_loss, "train_loss@0") is None and records.value(of_loss, "never_logged@1") is None


def test_losses_as_report_2_prints_them():
    of_loss = record("a/b", train=[2.0, 1.0], curves={"penalty": [0.4, 0.2], "tail_loss": [None, 0.9]})
    assert records.value(of_loss, "train_loss+penalty/4@1") == 0.6 and records.value(of_loss, "train_loss/4@2") == 0.25
    assert records.value(of_loss, "tail_loss+penalty") == 1.1
    assert records.value(of_loss, "tail_loss+penalty@1") is None and records.value(of_loss, "valid_loss/4") is None


def test_the_late_loss_is_a_median_that_one_jump_does_not_spoil():
    assert records.value(record("a/b", valid=[9.0] * 9 + [90.0]), "late_valid_loss") == 9.0
    assert records.value(record("a/b", valid=[1.0] * 90 + [9.0] * 10), "late_valid_loss") == 9.0
    assert records.value(record("a/b", valid=[1.0, 2.0, 4.0]), "late_valid_loss") == 2.0
    assert records.value(record("a/b", valid=[1.0] * 4 + [None] * 6), "late_valid_loss") is None
    assert records.value(record("a/b"), "late_valid_loss") is None


def test_at_the_end_a_diverged_run_is_worse_than_any_number():
    dead = record("a/b", status="diverged", valid=[1.0], test_acc=0.9)
    assert records.final(dead) == math.inf and records.final(dead, "test_acc") == -math.inf
    alive = record("a/b", valid=[1.0, 2.0], test_acc=0.9)
    assert records.final(alive) == 1.5 and records.final(alive, "test_acc") == 0.9
    assert records.final(alive, "valid_acc") == -math.inf


def test_columns_are_as_long_as_asked_and_count_from_1():
    r = record("a/b", valid=[5.0, None, 3.0])
    assert records.column(r, last=4) == [5.0, math.inf, 3.0, math.inf]
    assert records.column(r, "valid_loss", 2, 3) == [math.inf, 3.0] and records.column(r, "lr", 1, 1) == [math.inf]
    assert r["curves"]["valid_loss"] == [5.0, None, 3.0]
    assert records.first_epoch(r, "valid_loss", lambda loss: loss < 5) == 3
    assert records.first_epoch(r, "valid_loss", lambda loss: loss < 1) == math.inf


def test_an_accuracy_after_a_divergence_is_below_any():
    r = record("a/b", status="diverged", curves={"valid_acc": [0.5, None], "train_acc": [0.4]})
    assert records.column(r, "valid_acc", last=3) == [0.5, -math.inf, -math.inf]
    assert records.column(r, "train_acc", 2, 2) == [-math.inf]
    assert records.first_epoch(r, "valid_acc", lambda accuracy: accuracy >= 0.6) == math.inf


def test_a_net_learned_nothing_up_to_a_fifth_above_guessing():
    assert records.at_chance(0.12, 10) and not records.at_chance(0.1201, 10) and records.at_chance(-math.inf, 10)
    assert records.at_chance(1 / 35, 35) and not records.at_chance(0.0344, 35)

    def of(name, **metrics):
        return {**record("a/b", **metrics), "data": {"name": name}}

    assert records.learned_nothing(of("cifar10", test_acc=0.12))
    assert not records.learned_nothing(of("caltech35", test_acc=0.12))
    assert records.learned_nothing(of("cifar10", valid_acc=0.1))
    assert not records.learned_nothing(of("cifar10", valid_acc=0.1, test_acc=0.5))
    assert not records.learned_nothing(of("cifar10")) and not records.learned_nothing(of("faces21", test_acc=0.0))
    assert not records.learned_nothing(record("a/b", test_acc=0.0))  # nobody knows of how many classes


def test_unsteadiness_is_the_mean_change_from_epoch_to_epoch():
    r = record("a/b", valid=[100.0, 1.0, 3.0, 0.0, 50.0, None])
    assert records.unsteadiness(r, 2, 4) == 2.5 and records.unsteadiness(r, 5, 6) == math.inf


def test_differences_are_exact_to_the_last_image():
    assert records.difference(0.6123, 0.5623) == 0.05 and records.difference(0.5, -math.inf) == -math.inf
    assert records.difference(-math.inf, 0.5) == -math.inf


def test_under_a_second_name_are_copies_of_the_records_of_its_run():
    declared = {"alias": {"a/again": "a/b", "a/none": "a/c"}}
    found = [record("a/b", 0), record("a/other", 0), record("a/b", 1), record("a/again", 7)]  # that is an old one
    both = records.with_aliases(declared, found)
    assert both == [*found[:3], {**found[0], "run": "a/again"}, {**found[2], "run": "a/again"}]
    assert [r["run"] for r in found] == ["a/b", "a/other", "a/b", "a/again"]
    assert records.with_aliases({}, found) == found


def test_numbers_as_a_reader_wants_them():
    assert [records.number(x) for x in (60100000.0, 10000, 9999.96, 20.44, 10, 9.9994, 0.5119, math.inf)] == [
        "6.01e+07", "1e+04", "10000.0", "20.4", "10.0", "9.999", "0.512", "inf"]


def test_metrics_of_several_runs_come_in_the_order_of_their_names():
    of = {"a/x": record("a/x", test_acc=0.1, valid_acc=0.3), "a/y": record("a/y", test_acc=0.2, valid_acc=0.4)}
    assert records.tested(of.get, "a", "y", "x") == [0.2, 0.1]
    assert records.finals(of.get, "a", "x", "y", metric="valid_acc") == [0.3, 0.4]


# ---- the committed file ---------------------------------------------------------------------------------------------

@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty project: results/records.jsonl is none, and no net is asked."""
    monkeypatch.setattr(records, "RECORDS", tmp_path / "results/records.jsonl")
    monkeypatch.setattr(ask, "described", lambda record, folder, data_dir: record)
    return tmp_path


def finish(place, run, seed, loss, flags="--lr 1", synthetic=False, max_steps=None, folder=None, start=None,
           at="2026-01-02T00:00:00Z", **more):
    """Leaves a finished run's folder. more: further fields of its result."""
    folder = place / "runs" / run / (folder or f"seed{seed}")
    folder.mkdir(parents=True, exist_ok=True)
    of_run = by_hand.result(run, seed, {"valid_loss": loss}, {"synthetic": synthetic}, flags=flags, init_flags=start,
                            max_steps=max_steps, **more)
    (folder / "result.json").write_text(json.dumps(of_run))
    (folder / "train.log").write_text(f"tiny/a seed 0: begins\ntiny/a seed 0: finished at {at}: valid_loss {loss}\n")
    (folder / "log.jsonl").write_text(
        json.dumps({"epoch": 1, "valid_loss": loss / 3, "valid_acc": None, "seconds": 1.0}) + "\n")
    return folder


def rows():
    return [(r["run"], r["seed"], r["metrics"]["valid_loss"]) for r in records.read_records()]


DECLARED = {"run": {"tiny/a": "--lr 1", "tiny/b": "--lr 2", "tiny/from-a": "--lr 1 --init-from=tiny/a"}}
DESCRIBED = {"confusion": {"train": [[1]], "test": [[1]]}, "silhouette": {"1-5": None, "3,5": 0.5}, "spread": 0.5}


def on(device):
    """What a result says of the machine, for `finish`."""
    return {"versions": {"python": "3.11", "torch": "2.11", "torchvision": "0.26", "device": device}}


def test_merging_takes_only_whole_runs_on_real_data_as_they_are_declared(place, capsys):
    finish(place, "tiny/a", 0, 5.0)
    finish(place, "tiny/a", 0, 4.0, folder="seed0.1")  # put aside
    finish(place, "tiny/a", 1, 3.0, synthetic=True)
    finish(place, "tiny/a", 2, 3.0, max_steps=5)
    finish(place, "tiny/b", 0, 3.0, flags="--lr 3")
    finish(place, "tiny/c", 0, 3.0)
    (finish(place, "tiny/a", 3, 3.0) / "result.json").write_text('{"torn')
    assert not records.merge(DECLARED, place / "runs")  # one of them could not be read
    assert rows() == [("tiny/a", 0, 5.0)]
    # Five digits are enough for a figure; nothing is kept that was never measured.
    assert records.read_records()[0]["curves"] == {"epoch": [1], "valid_loss": [1.6667]}
    printed, broken = capsys.readouterr()
    for folder, reason in (("tiny/a/seed1", "generated data"), ("tiny/a/seed2", "cut short"),
                           ("tiny/b/seed0", "made with other flags"), ("tiny/c/seed0", "not declared")):
        assert f"left out: {place / 'runs' / folder} ({reason})\n" in printed
    assert printed.count("left out") == 4
    assert "result.json is not JSON" in broken and broken.count("left out") == 1


def test_merging_takes_nothing_under_a_second_name(place, capsys):
    declared = {"run": {**DECLARED["run"], "tiny/again": "--lr 1"}, "alias": {"tiny/again": "tiny/a"}}
    finish(place, "tiny/a", 0, 5.0)
    finish(place, "tiny/again", 0, 4.0)
    records.merge(declared, place / "runs")
    assert rows() == [("tiny/a", 0, 5.0)]
    assert f"left out: {place}/runs/tiny/again/seed0 (a second name of tiny/a)\n" in capsys.readouterr().out


def test_merging_keeps_every_row_and_takes_the_newest(place, capsys):
    finish(place, "tiny/a", 0, 5.0)
    records.merge(DECLARED, place / "runs")
    shutil.rmtree(place / "runs")
    for loss in (7.0, 6.0):
        finish(place, "tiny/b", 0, loss, flags="--lr 2")
        records.merge(DECLARED, place / "runs")
    finish(place, "tiny/b", 0, 9.0, flags="--lr 2", at="2026-01-01T00:00:00Z")  # another box's, older
    records.merge(DECLARED, place / "runs")
    assert "older than the record" in capsys.readouterr().out
    assert rows() == [("tiny/a", 0, 5.0), ("tiny/b", 0, 6.0)]
    assert [file.name for file in (place / "results").iterdir()] == ["records.jsonl"]


def test_merging_twice_gives_the_same_bytes_and_keeps_what_a_net_answered(place, monkeypatch):
    finish(place, "tiny/a", 0, 5.0)
    monkeypatch.setattr(ask, "described", lambda record, folder, data_dir: {**record, "described": DESCRIBED})
    records.merge(DECLARED, place / "runs")
    first = records.RECORDS.read_bytes()
    records.merge(DECLARED, place / "runs")
    assert records.RECORDS.read_bytes() == first
    monkeypatch.setattr(ask, "described", lambda record, folder, data_dir: record)  # its weights are gone
    records.merge(DECLARED, place / "runs")
    assert records.RECORDS.read_bytes() == first and b"spread" in first


def test_a_run_in_bfloat16_is_kept_beside_that_in_float32_which_counts(place):
    finish(place, "tiny/a", 0, 5.0)  # of an older version, which does not say its precision
    finish(place, "tiny/b", 0, 3.0, flags="--lr 2", precision="bfloat16")
    records.merge(DECLARED, place / "runs")
    shutil.rmtree(place / "runs")
    finish(place, "tiny/a", 0, 6.0, precision="bfloat16", at="2026-01-03T00:00:00Z")
    finish(place, "tiny/b", 1, 4.0, flags="--lr 2", precision="tf32")
    records.merge(DECLARED, place / "runs")
    assert rows() == [("tiny/a", 0, 5.0), ("tiny/a", 0, 6.0), ("tiny/b", 0, 3.0), ("tiny/b", 1, 4.0)]
    float32, bfloat16, alone, on_gpu = records.read_records()
    assert records.one_of_each_seed([bfloat16, float32, alone, on_gpu]) == [float32, alone, on_gpu]
    assert records.both_precisions([float32, bfloat16, alone, on_gpu]) == [(float32, bfloat16)]
    shutil.rmtree(place / "runs")
    finish(place, "tiny/a", 0, 7.0, precision="tf32", at="2026-01-04T00:00:00Z")  # newer: it replaces float32's
    records.merge(DECLARED, place / "runs")
    assert rows()[:2] == [("tiny/a", 0, 7.0), ("tiny/a", 0, 6.0)]


def test_a_run_on_a_gpu_is_kept_beside_that_on_a_cpu_which_counts(place):
    finish(place, "tiny/a", 0, 5.0)
    finish(place, "tiny/b", 0, 3.0, flags="--lr 2", **on("NVIDIA H200"))
    records.merge(DECLARED, place / "runs")
    shutil.rmtree(place / "runs")
    finish(place, "tiny/a", 0, 6.0, at="2026-01-03T00:00:00Z", precision="tf32", **on("NVIDIA H200"))
    records.merge(DECLARED, place / "runs")
    shutil.rmtree(place / "runs")
    finish(place, "tiny/a", 0, 7.0, at="2026-01-04T00:00:00Z", precision="bfloat16", **on("NVIDIA H200"))
    records.merge(DECLARED, place / "runs")
    assert rows() == [("tiny/a", 0, 5.0), ("tiny/a", 0, 6.0), ("tiny/a", 0, 7.0), ("tiny/b", 0, 3.0)]
    on_cpu, on_gpu, in_half, alone = records.read_records()
    assert records.one_of_each_seed([in_half, on_gpu, alone, on_cpu]) == [on_cpu, alone]
    assert records.one_of_each_seed([in_half, on_gpu]) == [on_gpu]
    assert records.both_devices([on_cpu, on_gpu, in_half, alone]) == [(on_cpu, on_gpu)]
    assert records.both_devices([in_half, on_cpu, alone]) == [(on_cpu, in_half)]
    # What bfloat16 costs is told by runs of one kind of device: seconds of two would say nothing of it.
    assert records.both_precisions([on_cpu, on_gpu, in_half, alone]) == [(on_gpu, in_half)]
    assert records.both_precisions([on_cpu, in_half]) == []


def test_a_record_of_another_processor_is_replaced_and_that_is_said(place, capsys):
    finish(place, "tiny/a", 0, 5.0)
    finish(place, "tiny/b", 0, 3.0, flags="--lr 2")
    records.merge(DECLARED, place / "runs")
    assert "replaces" not in capsys.readouterr().out
    finish(place, "tiny/a", 0, 6.0, at="2026-01-03T00:00:00Z", **on("Xeon"))
    records.merge(DECLARED, place / "runs")
    assert rows() == [("tiny/a", 0, 6.0), ("tiny/b", 0, 3.0)]
    folder = place / "runs/tiny/a/seed0"
    assert capsys.readouterr().out == f"{folder}, made on Xeon, replaces a record made on EPYC\n"


def test_a_newer_record_made_with_other_flags_gives_way(place, capsys):
    finish(place, "tiny/a", 0, 5.0, flags="--lr 9", at="2026-01-03T00:00:00Z")
    records.merge({"run": {"tiny/a": "--lr 9"}}, place / "runs")  # as it was declared then
    finish(place, "tiny/a", 0, 6.0)
    records.merge(DECLARED, place / "runs")
    assert rows() == [("tiny/a", 0, 6.0)] and "older" not in capsys.readouterr().out
    start = "--lr 1 --init-from=tiny/a"
    finish(place, "tiny/from-a", 0, 5.0, flags=start, start="--lr 9", at="2026-01-03T00:00:00Z")
    records.merge({"run": {"tiny/a": "--lr 9", "tiny/from-a": start}}, place / "runs")
    finish(place, "tiny/from-a", 0, 7.0, flags=start, start="--lr 1")
    records.merge(DECLARED, place / "runs")
    assert rows() == [("tiny/a", 0, 6.0), ("tiny/from-a", 0, 7.0)]


def test_train_logs_of_older_versions_say_when_a_run_finished(tmp_path):
    lines = ("a b seed 0: finished at 1: x", "finished at 2026-01-02T00:00:00Z: x",
             "a/b seed 12: diverged at 2026-01-03: x")
    for count, expected in ((1, ""), (2, "2026-01-02T00:00:00Z"), (3, "2026-01-03")):
        (tmp_path / "train.log").write_text("\n".join(lines[:count]))
        assert records.finished_at(tmp_path) == expected


def test_a_run_whose_source_was_made_with_other_flags_is_not_merged(place, capsys):
    finish(place, "tiny/from-a", 0, 5.0, flags="--lr 1 --init-from=tiny/a", start="--lr 1")
    finish(place, "tiny/from-a", 1, 4.0, flags="--lr 1 --init-from=tiny/a", start="--lr 9")
    finish(place, "tiny/from-a", 2, 4.0, flags="--lr 1 --init-from=tiny/a")
    newer = finish(place, "tiny/from-a", 3, 4.0, flags="--lr 1 --init-from=tiny/a", start="--lr 9")
    runs.write_flags_line("--lr 1 --init-from=tiny/a < --lr 1", newer)  # the file counts where it is there
    records.merge(DECLARED, place / "runs")
    assert rows() == [("tiny/from-a", 0, 5.0), ("tiny/from-a", 3, 4.0)]
    assert declarations.as_declared(DECLARED, records.read_records()) == records.read_records()
    assert capsys.readouterr().out.count("(made with other flags)") == 2


def test_a_description_is_kept_while_the_run_is_the_same(place, monkeypatch):
    finish(place, "tiny/a", 0, 5.0)
    monkeypatch.setattr(ask, "described", lambda record, folder, data_dir: {**record, "described": DESCRIBED})
    records.merge(DECLARED, place / "runs")
    monkeypatch.setattr(ask, "described", lambda record, folder, data_dir: record)  # its weights are gone
    records.merge(DECLARED, place / "runs")
    assert records.read_records()[0]["described"] == DESCRIBED
    finish(place, "tiny/a", 0, 5.0, at="2026-01-03T00:00:00Z")
    records.merge(DECLARED, place / "runs")
    assert "described" not in records.read_records()[0]


def test_no_records_and_an_empty_file_are_the_same(place):
    assert records.read_records() == []
    records.merge(DECLARED, place / "runs")  # there are no runs either
    assert records.RECORDS.read_text() == "" and records.read_records() == []
    records.RECORDS.write_text("\n")
    assert records.read_records() == []
    finish(place, "tiny/a", 0, 5.0)
    records.merge(DECLARED, place / "runs")
    assert rows() == [("tiny/a", 0, 5.0)]


@pytest.mark.parametrize("change, said", [
    (lambda record: record.pop("run"), "it lacks run"), (lambda record: record.pop("curves"), "it lacks curves"),
    (lambda record: record["versions"].pop("device"), "it lacks versions.device"),
    (lambda record: record.update(curves={"train_loss": 5}), "its curves are not lists"),
    (lambda record: record["metrics"].update(test_acc="x"), "its metrics.test_acc is not a number or null"),
    (lambda record: record["data"].pop("source"), "it lacks data.source"),
    (lambda record: record.update(flags="--clean-by=tiny/b"), "it lacks data.label_noise"),
    (lambda record: record.update(finished_at=5), "its finished_at is not a text"),
    (lambda record: record.update(described={"spread": 1}), "it lacks confusion")])
def test_a_line_that_is_no_record_is_named(place, change, said):
    finish(place, "tiny/a", 0, 5.0)
    records.merge(DECLARED, place / "runs")
    broken = records.read_records()[0]
    change(broken)
    whole = records.RECORDS.read_text()
    records.RECORDS.write_text(f"{whole}\n{json.dumps(broken)}\n")  # with an empty line between
    for read in (records.read_records, lambda: records.merge(DECLARED, place / "runs")):
        with pytest.raises(runs.BadInput, match=rf"records\.jsonl, line 3 is no record: {said}\. Get it back from git"):
            read()


def test_records_are_written_whole_or_not_at_all(place, monkeypatch):
    finish(place, "tiny/a", 0, 5.0)
    records.merge(DECLARED, place / "runs")
    before = records.RECORDS.read_bytes()
    finish(place, "tiny/b", 0, 5.0, flags="--lr 2")

    def disk_full(file):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(runs.os, "fsync", disk_full)
    with pytest.raises(OSError, match="No space"):
        records.merge(DECLARED, place / "runs")
    assert records.RECORDS.read_bytes() == before
    assert [file.name for file in (place / "results").iterdir()] == ["records.jsonl"]


def test_committed_records_are_of_full_runs_on_real_data_as_they_are_declared():
    found, declared = records.read_records(), declarations.declarations()
    assert len(found) >= 161 and len({records.key_of(r) for r in found}) == len(found)
    for r in found:
        assert not r["data"]["synthetic"] and r["max_steps"] is None and r["status"] in ("finished", "diverged")
        assert {"versions", "commit", "params", "seconds"} <= set(r)
        assert r["flags"] == declared["run"][r["run"]]
        line = declarations.expected_line(declared, r["run"])
        assert runs.join_lines(r["flags"], r.get("init_flags")) == line
