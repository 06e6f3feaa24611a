"""`charlm eval` loads the models that it is given."""


def test_models_of_one_name_are_labelled_by_their_paths(charlm, unigram_checkpoint, tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        unigram_checkpoint({"a": 0.5, "\n": 0.5}).save(tmp_path / folder / "m.safetensors")
    models = ("-m", "one/m.safetensors", "-m", "two/m.safetensors")

    assert (
        b"\tone/m.safetensors\t0.0000\ta\n"
        in charlm("eval", *models, "--per-line", stdin=b"a").stdout
    )
    twice = charlm("eval", "-m", "one/m.safetensors", *models[:2], stdin=b"a")
    assert (twice.returncode, twice.stderr) == (
        2,
        b"error: a model is given twice\n\nhint: name each model once with --model\n",
    )


def test_models_of_pairs_are_not_compared_with_others(charlm, unigram_checkpoint, tmp_path):
    for task in ("lines", "pairs"):
        unigram_checkpoint({"a": 0.5, None: 0.5}, task=task).save(tmp_path / task)
    result = charlm("eval", "-m", "lines", "-m", "pairs", stdin=b"a\ta")

    assert result.returncode == 2
    assert b"predict different things" in result.stderr
    assert charlm("eval", "-m", "pairs", "--baselines", stdin=b"a\ta").returncode == 2
