PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SPEED := compress correction inference ismn pipeline scaling stack training

.PHONY: demo test check lint types bench bench-coverage bench-skill golden publish clean

demo: $(STAMP) ## simulate a scene, train, export, predict, validate; ends with out/demo/report.html
	$(BIN)/zoo demo --out out/demo

test: $(STAMP) ## all tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --ignore tests/packaging --ignore tests/cli/test_startup.py -n 2 --dist loadscope
	$(BIN)/python -m pytest tests/cli/test_startup.py tests/packaging # timed, or an environment of its own: alone

check: lint types test ## what CI runs

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

bench: $(STAMP) ## benchmarks of speed and memory, one after the other
	for script in $(SPEED); do $(BIN)/python benchmarks/$$script.py || exit 1; done

bench-coverage: $(STAMP) ## how often 95 % intervals hold the truth, in simulation (about ten minutes)
	$(BIN)/python benchmarks/coverage.py

bench-skill: $(STAMP) ## skill on real tables and simulated truth, into docs/skill.md (half a day; skill.py goes on where it stopped)
	$(BIN)/python benchmarks/closed_loop.py
	$(BIN)/python benchmarks/truth.py
	$(BIN)/python benchmarks/clouds.py --output benchmarks/results/clouds.json --page docs/clouds.md
	$(BIN)/python benchmarks/uncertainty.py
	$(BIN)/python benchmarks/skill.py

publish: $(STAMP) ## train the published models on the sample scene
	rm -rf zoo/published/registry.json zoo/published/smd-dbn zoo/published/smd-rf
	SMZOO_PUBLISH=1 $(BIN)/zoo train dbn --registry zoo/published/registry.json
	SMZOO_PUBLISH=1 $(BIN)/zoo train rf --registry zoo/published/registry.json
	SMZOO_PUBLISH=1 $(BIN)/zoo export onnx --model smd-dbn@v1 --registry zoo/published/registry.json
	SMZOO_PUBLISH=1 $(BIN)/zoo export onnx --model smd-rf@v1 --registry zoo/published/registry.json

golden: $(STAMP) ## write the help texts anew that the tests compare with
	$(BIN)/python tests/golden/write.py

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[all,dev]"
	touch $@

clean:
	rm -rf build dist out .pytest_cache .mypy_cache .ruff_cache
