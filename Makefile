# What can be made. The settings of the runs are in experiments/*.mk; what counts is content, never the age of a file.
#
#   make exp-bn-dropout                     trains what of it is not trained yet, then draws figures and prints a table
#   make -n report-keypoints SEEDS="0 1"    shows exactly what would train
ifneq ($(filter 3.% 4.0% 4.1%,$(MAKE_VERSION)),)
$(error This Makefile needs GNU make 4.2 or newer, not $(MAKE_VERSION))
endif
SHELL         := bash
.SHELLFLAGS   := -eu -o pipefail -c
MAKEFLAGS     += -krR --no-print-directory
.DEFAULT_GOAL := help
.SUFFIXES:

# --- Variables ------------------------------------------------------------------------------------------------------
SEEDS     ?= 0#         seeds of every run: SEEDS="0 1 2"
DATA      ?= data#      folder of the data sets
FLAGS     ?=#           appended to every run's flags; the runs go to runs-flags unless RUNS is given
SYNTHETIC ?=#           1: generated data; the runs go to runs-synthetic unless RUNS is given
RUNS      ?= runs$(if $(filter-out 0,$(SYNTHETIC)),-synthetic)$(if $(strip $(FLAGS)),-flags)#   folder of the runs
GPUS      ?= 1#         spread the runs over so many GPUs
PYTHON    ?=#           use this interpreter and build no .venv
STOP_AFTER ?=#          one deadline for everything: STOP_AFTER=50m; runs save and stop, the same command goes on

override SYNTHETIC := $(filter-out 0,$(strip $(SYNTHETIC)))
override SEEDS := $(sort $(SEEDS))
override RUNS  := $(strip $(RUNS))
override DATA  := $(strip $(DATA))
override GPUS  := $(strip $(GPUS))
PY   := $(or $(strip $(PYTHON)),.venv/bin/python)
# The keeper of run folders; it needs no installed package, and so no .venv.
KEEP := $(or $(strip $(PYTHON)),python3) experiments/runs.py

# Words that the shell tests rather than make, which knows no patterns of digits.
$(if $(shell [[ '$(SEEDS)' =~ ^[0-9]+(\ [0-9]+)*$$ ]] || echo bad),$(error SEEDS=$(SEEDS) is no list of whole numbers \
  such as "0 1 2"))
$(if $(shell [[ '$(GPUS)' =~ ^[1-9][0-9]*$$ ]] || echo bad),$(error GPUS=$(GPUS) is no number of GPUs))
$(if $(word 2,$(RUNS)),$(error RUNS=$(RUNS): make cannot handle spaces in the names of results))

EXTRA := $(strip $(if $(SYNTHETIC),--synthetic) $(FLAGS))
# What of EXTRA makes another run: not where, how fast and for how long.
OTHER := $(if $(FLAGS),$(shell $(KEEP) identity -- $(EXTRA)),$(EXTRA))
DATA_DIR := $(if $(word 2,$(DATA)),'$(DATA)',$(DATA))
ifneq ($(GPUS),1)
MAKEFLAGS += -j$(GPUS)
endif
# The deadline is a moment, exported so that a make within this make has the same one.
ifneq ($(strip $(STOP_AFTER)),)
ifndef STOP_AT
TIME := $(shell $(KEEP) seconds '$(strip $(STOP_AFTER))' 2>&1)
$(if $(TIME),,$(error STOP_AFTER=$(STOP_AFTER) is no time such as 90s, 55m or 1h30m))
export STOP_AT := $(shell echo $$(( $$(date +%s) + $(TIME) )))
endif
endif

# --- What is declared -----------------------------------------------------------------------------------------------
REPORTS   := $(patsubst experiments/%.mk,%,$(sort $(wildcard experiments/*.mk)))
include $(REPORTS:%=experiments/%.mk)
RUN_NAMES := $(patsubst run.%,%,$(filter run.%,$(.VARIABLES)))
EXPS      := $(sort $(patsubst exp.%,%,$(filter exp.%,$(.VARIABLES))))
$(foreach e,$(EXPS),$(foreach r,$(exp.$e),$(if $(run.$r),,$(error exp.$e names $r, which no run.$r declares))))
# The comparisons that a report's file declares, whatever runs they begin with.
of_report = $(shell sed -nE 's/^exp\.([^[:space:]:=]+).*/\1/p' experiments/$1.mk)

flags   = $(strip $(run.$1) $(EXTRA))
folder  = $(RUNS)/$1/seed$2
result  = $(call folder,$1,$2)/result.json
results = $(foreach r,$1,$(foreach s,$(SEEDS),$(call result,$r,$s)))
# The run that a run starts from, or whose net scores its labels.
source  = $(patsubst --init-from=%,%,$(patsubst --clean-by=%,%,$(filter --init-from=% --clean-by=%,$(run.$1))))
# What flags.txt must hold for a result to count: the declared flags and, behind <, those of the run it starts from.
line    = $(strip $(run.$1) $(OTHER))$(if $(source), < $(call line,$(source)))
same    = $(if $(subst |$1|,,|$2|),,same)
# strip: make 4.3 does not always remove the newline at the end of a file.
is_stale = $(if $(wildcard $(call result,$1,$2)),$(if $(call \
  same,$(call line,$1),$(strip $(file <$(call folder,$1,$2)/flags.txt))),,stale))

RESULTS := $(call results,$(RUN_NAMES))
# Results of an older version have their flags in result.json alone.
UNADOPTED := $(foreach f,$(patsubst %/result.json,%,$(wildcard $(RESULTS))),$(if $(wildcard $f/flags.txt),,$f))
$(if $(strip $(UNADOPTED)),$(shell $(KEEP) adopt $(UNADOPTED)))
STALE   := $(foreach r,$(RUN_NAMES),$(foreach s,$(SEEDS),$(if $(call is_stale,$r,$s),$(call result,$r,$s))))
# A run to be trained waits for the run that it starts from; a finished one needs nothing.
WAITING := $(foreach r,$(RUN_NAMES),$(if $(call source,$r),$(foreach s,$(SEEDS),$(if $(filter-out \
  $(STALE),$(wildcard $(call result,$r,$s))),,$r@$s))))

# --- Training -------------------------------------------------------------------------------------------------------
# With -jN every run gets its part of the cores: two that want all of them are slower than one after the other.
JOBS    = $(patsubst -j%,%,$(filter -j%,$(MAKEFLAGS)))
THREADS = $(if $(JOBS), --threads $(shell echo $$(( $$(nproc) / $(JOBS) > 1 ? $$(nproc) / $(JOBS) : 1 ))))
TIME_IS_UP = $(if $(STOP_AT),$(shell [ $$(date +%s) -ge $(STOP_AT) ] && echo yes))
# A run waits for the first GPU whose lock is free and holds it while it lives: the lock goes on to train.py.
COMMA   := ,
VISIBLE := $(subst $(COMMA), ,$(CUDA_VISIBLE_DEVICES))
ifeq ($(VISIBLE),)
VISIBLE := $(shell seq 0 $$(( $(GPUS) - 1 )))
endif
GPU_LOCK = "$${TMPDIR:-/tmp}/gpu-$$gpu.$$UID.lock"
take_gpu = while true; do for gpu in $(wordlist 1,$(GPUS),$(VISIBLE)); do exec 9>$(GPU_LOCK); \
  flock -n 9 && break 2 || true; done; sleep 1; done; export CUDA_VISIBLE_DEVICES=$$gpu; exec
command = $(PY) train.py $(call flags,$1)$(if $(filter-out runs,$(RUNS)), --runs $(RUNS)) --run $1 --seed $2$(if \
  $(filter-out data,$(DATA)), --data-dir $(DATA_DIR))
run_of  = $(patsubst %/,%,$(dir $1))
seed_of = $(patsubst seed%,%,$(notdir $1))

train   = $(if $(filter-out 1,$(GPUS)),$(take_gpu) )$(call command,$(call run_of,$1),$(call seed_of,$1))$(if \
  $(STOP_AT), --stop-at $(STOP_AT))$(THREADS)

# The shell becomes train.py, so that a signal to make reaches it. It may fail without ending the rest ("-"): a run that
# diverged (3) is a result, one that lacks data (2) or time (75) is named by the status line.
$(RESULTS): $(RUNS)/%/result.json: | venv
	-$(if $(TIME_IS_UP),@echo "no time left for $*",$(call train,$*))
$(STALE): FORCE
.PRECIOUS: $(RESULTS)
# eval: these order-only prerequisites differ from target to target, which no pattern says.
$(foreach w,$(WAITING),$(foreach r,$(firstword $(subst @, ,$w)),$(foreach s,$(lastword $(subst @, ,$w)),$(eval \
  $(call result,$r,$s): | $(call result,$(call source,$r),$s)))))

REPORT = $(PY) experiments/report.py
WHERE  = --runs $(RUNS) --data-dir $(DATA_DIR) --seeds "$(SEEDS)" --flags="$(OTHER)"

# eval: a comparison's results are its prerequisites, and their names follow from no pattern.
$(foreach e,$(EXPS),$(eval exp-$e: $(call results,$(exp.$e))))
$(addprefix exp-,$(EXPS)): exp-%: | venv
	@$(REPORT) exp $* $(WHERE)

# eval: the same for a report's comparisons.
$(foreach r,$(REPORTS),$(eval report-$r: $(call results,$(foreach e,$(call of_report,$r),$(exp.$e)))))
$(addprefix report-,$(REPORTS)): report-%: | venv
	@$(REPORT) exp $(call of_report,$*) $(WHERE)

all: $(RESULTS) | venv ## every run of every report, then all figures and tables
	@$(REPORT) exp $(EXPS) $(WHERE)

# --- Looking, and the rest ------------------------------------------------------------------------------------------
help: ## this list
	@echo 'make TARGET [SEEDS="0 1 2"] [DATA=data] [RUNS=runs] [GPUS=1] [PYTHON=python3] [FLAGS="--epochs 5"]'
	@echo '            [SYNTHETIC=1] [STOP_AFTER=50m]'
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  %-28s %s\n", $$1, $$2}' Makefile
	@awk 'FNR==1{n=split(FILENAME,p,/[\/.]/); line=""; printf "  %-28s %s\n", "report-" p[n-1], "all of " FILENAME} \
	  /^## /{line=(above ? line " " : "") substr($$0,4); above=1; next} {above=0} \
	  /^exp\./{sub(/^exp\./,""); sub(/[ \t:=].*/,""); printf "    %-26s %s\n", "exp-" $$0, line; line=""}' experiments/*.mk

quickstart: ## on a bare machine: builds .venv, then exp-bn-dropout in miniature on generated faces; about two minutes
	@$(MAKE) exp-bn-dropout SYNTHETIC=1 RUNS=runs-quickstart FLAGS="--batch-size 16 --epochs 30"

# Two at a time, each with one thread, where pytest-xdist is installed.
TWO_AT_A_TIME = $(if $(shell $(PY) -c 'import xdist' 2>/dev/null && echo yes),-n 2 --dist worksteal)
test: | venv ## the tests
	@$(PY) -m pytest -q tests $(TWO_AT_A_TIME)

smoke: | venv ## every declared run for three steps on generated data
	rm -rf runs-smoke
	@$(MAKE) all SYNTHETIC=1 RUNS=runs-smoke FLAGS="--max-steps 3 --batch-size 8"

list: | venv ## every comparison, its runs and what the reports printed; names declared flags that make no sense
	@$(REPORT) list

status: | venv ## which runs are done, diverged, running, interrupted, failed or missing
	@$(REPORT) status $(WHERE)

show: known-run ## RUN=keypoints/adam-bn: its exact command
	@$(foreach s,$(SEEDS),$(KEEP) once -- $(call command,$(RUN),$s);)

# The run that it starts from is trained first, if need be. Seeds follow each other, a command and a line for each.
define NEWLINE


endef
ifneq ($(RUN),)
redo: | $(call results,$(call source,$(RUN)))
endif
redo: known-run | venv ## RUN=keypoints/adam-bn: train it anew; the old result is kept aside
	$(foreach s,$(SEEDS),-$(call train,$(RUN)/seed$s) --restart$(NEWLINE))
	@$(REPORT) status $(RUN) $(WHERE)

known-run:
	@$(if $(run.$(RUN)),:,echo "RUN=$(RUN) is not declared; make list names the runs" >&2; exit 2)

report: | venv ## merges finished runs into results/records.jsonl and makes the pages of results/; never trains
	@$(REPORT) report --runs $(RUNS) --data-dir $(DATA_DIR)

bench: | venv ## our epoch against the reports' way, side by side
	@$(PY) experiments/bench.py --data-dir $(DATA_DIR)

clean: ## generated trials and caches of Python; never data, results, runs or runs-flags
	rm -rf runs-smoke runs-quickstart runs-synthetic runs-synthetic-flags .pytest_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

declared: # for experiments/declarations.py
	@:$(foreach v,$(filter exp.% plots.% run.% want.% claim.%,$(.VARIABLES)),$(info $v=$(strip $($v))))

# The interpreter: nothing to do where PYTHON is given or requirements.txt is what .venv was made from.
ifeq ($(strip $(PYTHON)),)
venv: .venv/requirements.txt
.venv/requirements.txt: $(if $(filter-out $(file <requirements.txt),$(file <.venv/requirements.txt)),FORCE)
	python3 -m venv .venv
	.venv/bin/python -m pip install -q -r requirements.txt
	cp requirements.txt $@
endif

FORCE:
.PHONY: FORCE venv help quickstart test smoke list status show redo known-run report bench clean declared all \
  $(addprefix exp-,$(EXPS)) $(addprefix report-,$(REPORTS))
