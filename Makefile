# What can be made. The settings of the runs are in experiments/*.mk; what counts is their content, never the age of a file.
#
#   make exp-bn-dropout                     trains what of it is not trained yet, then draws its figures and prints its table
#   make -n report-keypoints SEEDS="0 1"    shows exactly what would train
ifneq ($(filter 3.% 4.0% 4.1%,$(MAKE_VERSION)),)
$(error This Makefile needs GNU make 4.2 or newer, not $(MAKE_VERSION))
endif
SHELL         := bash
.SHELLFLAGS   := -eu -o pipefail -c
MAKEFLAGS     += -krR --no-print-directory
.DEFAULT_GOAL := help
.SUFFIXES:

# --- Variables ---------------------------------------------------------------------------------------------------------
SEEDS     ?= 0#         seeds of every run: SEEDS="0 1 2"
DATA      ?= data#      folder of the data sets
FLAGS     ?=#           appended to every run's flags; the runs go to runs-flags unless RUNS is given
SYNTHETIC ?=#           1: generated data; the runs go to runs-synthetic unless RUNS is given
RUNS      ?= runs$(if $(filter-out 0,$(SYNTHETIC)),-synthetic)$(if $(strip $(FLAGS)),-flags)#   folder of the runs
GPUS      ?= 1#         spread the runs over so many GPUs
PYTHON    ?=#           use this interpreter and build no .venv
STOP_AFTER ?=#          one deadline for everything: STOP_AFTER=50m; runs save and stop, the same command goes on

override SYNTHETIC := $(filter-out 0,$(strip $(SYNTHETIC)))
EXTRA := $(strip $(if $(SYNTHETIC),--synthetic) $(FLAGS))
# What of FLAGS makes another run: not where, how fast and for how long.
OTHER := $(if $(FLAGS),$(strip $(shell sed -E 's/ ?--(device|threads|save-every|stop-after|data-dir)[= ] *[^ ]+//g' <<<'$(EXTRA)')),$(EXTRA))
override SEEDS := $(sort $(SEEDS))
override RUNS := $(strip $(RUNS))
override DATA := $(strip $(DATA))
override GPUS := $(strip $(GPUS))
DIR   := $(if $(word 2,$(DATA)),'$(DATA)',$(DATA))
$(if $(shell [[ '$(SEEDS)' =~ ^[0-9]+(\ [0-9]+)*$$ ]] || echo bad),$(error SEEDS=$(SEEDS) is no list of whole numbers such as "0 1 2"))
$(if $(shell [[ '$(GPUS)' =~ ^[1-9][0-9]*$$ ]] || echo bad),$(error GPUS=$(GPUS) is no number of GPUs))
$(if $(word 2,$(RUNS)),$(error RUNS=$(RUNS): make cannot handle spaces in the names of results))
PY    := $(or $(strip $(PYTHON)),.venv/bin/python)
ifneq ($(GPUS),1)
MAKEFLAGS += -j$(GPUS)
endif
ifneq ($(strip $(STOP_AFTER)),)
ifndef STOP_AT
export STOP_AT := $(shell time=$$(sed -E 's/(^|[hm])0+([0-9])/\1\2/g' <<<'$(strip $(STOP_AFTER))'); \
  [[ $$time =~ ^(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s?)?$$ ]] && \
  echo $$(( $$(date +%s) + $${BASH_REMATCH[2]:-0} * 3600 + $${BASH_REMATCH[4]:-0} * 60 + $${BASH_REMATCH[6]:-0} )))
$(if $(STOP_AT),,$(error STOP_AFTER=$(STOP_AFTER) is no time such as 90s, 55m or 1h30m))
endif
endif

# --- What is declared ----------------------------------------------------------------------------------------------------
include $(sort $(wildcard experiments/*.mk))
RUN_NAMES := $(patsubst run.%,%,$(filter run.%,$(.VARIABLES)))
EXPS      := $(sort $(patsubst exp.%,%,$(filter exp.%,$(.VARIABLES))))
REPORTS   := $(patsubst experiments/%.mk,%,$(sort $(wildcard experiments/*.mk)))
$(foreach e,$(EXPS),$(foreach r,$(exp.$e),$(if $(run.$r),,$(error exp.$e names $r, which no run.$r declares))))

flags    = $(strip $(run.$1) $(EXTRA))
identity = $(strip $(run.$1) $(OTHER))
result   = $(RUNS)/$1/seed$2/result.json
results  = $(foreach r,$1,$(foreach s,$(SEEDS),$(call result,$r,$s)))
source   = $(patsubst --init-from=%,%,$(patsubst --clean-by=%,%,$(filter --init-from=% --clean-by=%,$(run.$1))))
# A result is stale if it, or the run that it started from, was made with other flags than are declared.
has_text = $(findstring $1,$(file <$2))
is_fresh = $(and $(call has_text,"flags": "$(call identity,$1)",$(call result,$1,$2)),$(if $(call source,$1),$(call \
  has_text,"init_flags": "$(call identity,$(call source,$1))",$(call result,$1,$2)),yes))
is_stale = $(if $(wildcard $(call result,$1,$2)),$(if $(call is_fresh,$1,$2),$(foreach i,$(call source,$1),$(call is_stale,$i,$2)),stale))
# A run to be trained waits for the run that it starts from; a finished one needs nothing.
waits    = $(if $(call source,$1),$(if $(wildcard $(call result,$1,$2)),$(call is_stale,$1,$2),new))
of_report = $(foreach e,$(EXPS),$(if $(filter $1/%,$(firstword $(exp.$e))),$e))

RESULTS := $(call results,$(RUN_NAMES))
STALE   := $(foreach r,$(RUN_NAMES),$(foreach s,$(SEEDS),$(if $(call is_stale,$r,$s),$(call result,$r,$s))))

# --- Training ------------------------------------------------------------------------------------------------------------
# With -jN every run gets its share of the cores: two that want all of them are slower than one after the other.
JOBS      = $(patsubst -j%,%,$(filter -j%,$(MAKEFLAGS)))
SHARE     = $(if $(JOBS),--threads $(shell echo $$(( $$(nproc) / $(JOBS) > 1 ? $$(nproc) / $(JOBS) : 1 ))))
REMAINING = $(shell echo $$(( $(STOP_AT) > $$(date +%s) ? $(STOP_AT) - $$(date +%s) : 0 )))
# Runs take the GPUs in turn, in the order in which they start.
next_gpu  = CUDA_VISIBLE_DEVICES=$(shell echo $$(( $(words $(STARTED)) % $(GPUS) )))$(eval STARTED += x)
command   = $(PY) train.py $(call flags,$1)$(if $(filter-out runs,$(RUNS)), --runs $(RUNS)) --run $1 --seed $2$(if \
  $(filter-out data,$(DATA)), --data-dir $(DIR))$(if $(filter $1,$(REDO)), --restart)
run_of    = $(patsubst %/,%,$(dir $1))
seed_of   = $(patsubst seed%,%,$(notdir $1))

# One simple command, so that the shell becomes train.py and a signal to make reaches it. It may fail without ending the rest
# ("-"): a run that diverged (3) is a result, one that lacks data (2) or time (75) is named by the status line.
$(RESULTS): $(RUNS)/%/result.json: | venv
	-$(if $(STOP_AT),$(if $(filter 0,$(REMAINING)),@echo "no time left for $*"; : ))$(if \
	  $(filter-out 1,$(GPUS)),$(next_gpu) )$(call command,$(call run_of,$*),$(call seed_of,$*))$(if \
	  $(STOP_AT), --stop-after $(REMAINING)s)$(if $(SHARE), $(SHARE))
$(STALE) $(if $(REDO),$(call results,$(REDO))): FORCE
.PRECIOUS: $(RESULTS)
$(foreach r,$(RUN_NAMES),$(foreach s,$(SEEDS),$(if $(call waits,$r,$s),$(eval \
  $(call result,$r,$s): | $(call result,$(call source,$r),$s)))))

REPORT = $(PY) experiments/report.py
WHERE  = --runs $(RUNS) --data-dir $(DIR) --seeds "$(SEEDS)" --flags="$(OTHER)"

$(foreach e,$(EXPS),$(eval exp-$e: $(call results,$(exp.$e))))
$(addprefix exp-,$(EXPS)): exp-%: | venv
	@$(REPORT) exp $* $(WHERE)

$(foreach r,$(REPORTS),$(eval report-$r: $(call results,$(foreach e,$(call of_report,$r),$(exp.$e)))))
$(addprefix report-,$(REPORTS)): report-%: | venv
	@$(REPORT) exp $(call of_report,$*) $(WHERE)

all: $(RESULTS) | venv ## every run of every report, then all figures and tables
	@$(REPORT) exp $(EXPS) $(WHERE)

# --- Looking, and the rest -----------------------------------------------------------------------------------------------
help: ## this list
	@echo 'make TARGET [SEEDS="0 1 2"] [DATA=data] [RUNS=runs] [GPUS=1] [PYTHON=python3] [FLAGS="--epochs 5"] [SYNTHETIC=1] [STOP_AFTER=50m]'
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  %-28s %s\n", $$1, $$2}' Makefile
	@awk 'FNR==1{n=split(FILENAME,p,/[\/.]/); printf "  %-28s %s\n", "report-" p[n-1], "all of " FILENAME} \
	  /^## /{line=substr($$0,4)} /^exp\./{sub(/^exp\./,"",$$1); printf "    %-26s %s\n", "exp-" $$1, line}' experiments/*.mk

quickstart: ## on a bare machine: builds .venv, then exp-bn-dropout in miniature on generated faces; about two minutes
	@$(MAKE) exp-bn-dropout SYNTHETIC=1 RUNS=runs-quickstart FLAGS="--batch-size 16 --epochs 30"

test: | venv ## the tests
	@$(PY) -m pytest -q tests

smoke: | venv ## every declared run for three steps on generated data
	rm -rf runs-smoke
	@$(MAKE) all SYNTHETIC=1 RUNS=runs-smoke FLAGS="--max-steps 3 --batch-size 8"

list: | venv ## every comparison, its runs and what the reports printed
	@$(REPORT) list

status: | venv ## which runs are done, diverged, running, interrupted, failed or missing
	@$(REPORT) status $(WHERE)

show: known-run ## RUN=keypoints/adam-bn: its exact command
	@$(foreach s,$(SEEDS),echo '$(call command,$(RUN),$s)';)

redo: known-run | venv ## RUN=keypoints/adam-bn: train it anew; the old result is kept aside
	@$(MAKE) REDO=$(RUN) $(call results,$(RUN))
	@$(REPORT) status $(RUN) $(WHERE)

known-run:
	@$(if $(run.$(RUN)),:,echo "RUN=$(RUN) is not declared; make list names the runs" >&2; exit 2)

report: | venv ## merges finished runs into results/records.jsonl and makes the tables and figures of results/; never trains
	@$(REPORT) report --runs $(RUNS) --data-dir $(DIR)

bench: | venv ## our epoch against the reports' way, side by side
	@$(PY) experiments/bench.py --data-dir $(DIR)

clean: ## generated trials and caches of Python; never data, results, runs or runs-flags
	rm -rf runs-smoke runs-quickstart runs-synthetic runs-synthetic-flags .pytest_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

declared: # for experiments/report.py
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
