# What can be made. The settings of the runs are in experiments/*.mk; what counts is content, never the age of a file.
#
#   make exp-bn-dropout                     trains what of it is not trained yet, then draws figures and prints a table
#   make -n report-keypoints SEEDS="0 1"    shows exactly what would train
ifneq ($(filter 3.% 4.0% 4.1%,$(MAKE_VERSION)),)
$(error This Makefile needs GNU make 4.2 or newer, not $(MAKE_VERSION))
endif
SHELL         := bash
.SHELLFLAGS   := -eu -o pipefail -c
# k: one failure does not end the rest. s: no echo, since runs say what they begin; make -n shows the commands.
MAKEFLAGS     += -krRs --no-print-directory
.DEFAULT_GOAL := help
.SUFFIXES:

# --- Variables ------------------------------------------------------------------------------------------------------
SEEDS     ?= 0#         seeds of every run: SEEDS="0 1 2"
DATA      ?= data#      folder of the data sets
FLAGS     ?=#           appended to every run's flags; the runs go to runs-flags unless RUNS is given
SYNTHETIC ?=#           1: generated data; the runs go to runs-synthetic unless RUNS is given
RUNS      ?= runs$(if $(filter-out 0,$(SYNTHETIC)),-synthetic)$(if $(strip $(FLAGS)),-flags)#   folder of the runs
JOBS      ?=#           runs at a time; by default as many as cores and memory allow, or GPUS where there is a GPU
GPUS      ?= 1#         spread the runs over so many GPUs
BF16      ?=#           1: bfloat16 where that is safe; how a run is made, not what it is
PYTHON    ?=#           use this interpreter and build no .venv
MINUTES   ?= 60#        how long make torture goes on
OUT       ?= results#   the folder into which make torture writes
STOP_AFTER ?=#          one deadline for everything: STOP_AFTER=50m; runs save and stop, the same command goes on

override SYNTHETIC := $(filter-out 0,$(strip $(SYNTHETIC)))
override BF16  := $(filter-out 0,$(strip $(BF16)))
SEEDS_GIVEN    := $(if $(filter file,$(origin SEEDS)),,$(sort $(SEEDS)))
override SEEDS := $(sort $(SEEDS))
override RUNS  := $(strip $(RUNS))
override DATA  := $(strip $(DATA))
override GPUS  := $(strip $(GPUS))
override JOBS  := $(strip $(JOBS))
override OUT   := $(strip $(OUT))
PY   := $(or $(strip $(PYTHON)),.venv/bin/python)
# The keeper of run folders, and who counts runs at a time; they need no installed package, and so no .venv.
ANY_PYTHON := $(or $(strip $(PYTHON)),python3)
KEEP  := $(ANY_PYTHON) experiments/runs.py
COUNT := $(ANY_PYTHON) experiments/jobs.py

# Words that the shell tests rather than make, which knows no patterns of digits.
$(if $(shell [[ '$(SEEDS)' =~ ^[0-9]+(\ [0-9]+)*$$ ]] || echo bad),$(error SEEDS=$(SEEDS) is no list of whole numbers \
  such as "0 1 2"))
$(if $(shell [[ '$(GPUS)' =~ ^[1-9][0-9]*$$ ]] || echo bad),$(error GPUS=$(GPUS) is no number of GPUs))
$(if $(shell [[ '$(JOBS)' =~ ^([1-9][0-9]*)?$$ ]] || echo bad),$(error JOBS=$(JOBS) is no number of runs))
$(if $(word 2,$(RUNS)),$(error RUNS=$(RUNS): make cannot handle spaces in the names of results))

EXTRA := $(strip $(if $(SYNTHETIC),--synthetic) $(FLAGS))
# What of EXTRA makes another run: not where, how fast and for how long.
OTHER := $(if $(FLAGS),$(shell $(KEEP) identity -- $(EXTRA)),$(EXTRA))
DATA_DIR := $(if $(word 2,$(DATA)),'$(DATA)',$(DATA))
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
ALIASES   := $(patsubst alias.%,%,$(filter alias.%,$(.VARIABLES)))
EXPS      := $(sort $(patsubst exp.%,%,$(filter exp.%,$(.VARIABLES))))
# The comparisons that a report's file declares, whatever runs they begin with.
of_report = $(shell sed -nE 's/^exp\.([^[:space:]:=]+).*/\1/p' experiments/$1.mk)

# The run that a name stands for: an alias is a second name.
real    = $(or $(alias.$1),$1)
flags   = $(strip $(run.$1) $(EXTRA) $(if $(BF16),--bf16))
folder  = $(RUNS)/$(call real,$1)/seed$2
result  = $(call folder,$1,$2)/result.json
results = $(foreach r,$1,$(foreach s,$(SEEDS),$(call result,$r,$s)))
# The run that a run starts from, or whose net scores its labels.
source  = $(patsubst --init-from=%,%,$(patsubst --clean-by=%,%,$(filter --init-from=% --clean-by=%,$(run.$1))))
# What flags.txt must hold for a result to count: the declared flags and, behind <, those of the run it starts from.
line    = $(strip $(run.$1) $(OTHER))$(if $(source), < $(call line,$(source)))
same    = $(if $(subst |$1|,,|$2|),,same)
# strip: make 4.3 does not always remove the newline at the end of a file. UNREADABLE has those that are none.
line_in = $(if $(filter $1,$(UNREADABLE)),,$(strip $(file <$1)))
is_stale = $(if $(wildcard $(call result,$1,$2)),$(if $(call \
  same,$(call line,$1),$(call line_in,$(call folder,$1,$2)/flags.txt)),,stale))

# Names that are none, with the file and line of the variable that has them.
at    = $(shell grep -Hnm1 '^$1[[:space:]:=]' experiments/*.mk | cut -d: -f1,2)
check = $(if $(run.$2),,$(error $(call at,$1): $1 names $2, which no run.$2 declares))
$(foreach a,$(filter $(ALIASES),$(RUN_NAMES)),$(error $(call at,alias.$a): $a is a run and cannot be an alias too))
$(foreach a,$(ALIASES),$(call check,alias.$a,$(alias.$a)))
$(foreach e,$(EXPS),$(foreach r,$(exp.$e),$(call check,exp.$e,$(call real,$r))))
$(foreach r,$(RUN_NAMES),$(foreach s,$(filter $(ALIASES),$(call source,$r)),$(call check,run.$r,$s)))

RESULTS := $(call results,$(RUN_NAMES))
# Results of an older version have their flags in result.json alone.
UNADOPTED := $(foreach f,$(patsubst %/result.json,%,$(wildcard $(RESULTS))),$(if $(wildcard $f/flags.txt),,$f))
$(if $(strip $(UNADOPTED)),$(shell $(KEEP) adopt $(UNADOPTED)))
# A folder in place of a line of flags would end make, a pipe would stop it. Such runs are stale: train.py says why.
FLAG_FILES := $(wildcard $(RESULTS:result.json=flags.txt))
UNREADABLE := $(if $(FLAG_FILES),$(shell find -L $(FLAG_FILES) -prune ! -type f))
STALE   := $(foreach r,$(RUN_NAMES),$(foreach s,$(SEEDS),$(if $(call is_stale,$r,$s),$(call result,$r,$s))))
FINISHED := $(filter-out $(STALE),$(wildcard $(RESULTS)))

# What each goal needs. A run to be trained needs the run that it starts from; a finished one needs nothing.
# eval: the names of these variables follow from no pattern.
$(foreach r,$(RUN_NAMES),$(if $(call source,$r),$(foreach s,$(SEEDS),$(if $(filter $(FINISHED),$(call \
  result,$r,$s)),,$(eval needs.$(call result,$r,$s) := $(call result,$(call source,$r),$s))))))
$(foreach e,$(EXPS),$(eval needs.exp-$e := $(call results,$(exp.$e))))
$(foreach r,$(REPORTS),$(eval needs.report-$r := $(call results,$(foreach e,$(call of_report,$r),$(exp.$e)))))
ifneq ($(filter all train,$(MAKECMDGOALS)),)
LONGEST_FIRST := $(shell $(ANY_PYTHON) experiments/costs.py order)
$(if $(filter-out $(LONGEST_FIRST),$(RUN_NAMES)),$(error experiments/costs.py does not say in which order to train))
needs.all   := $(call results,$(LONGEST_FIRST))
needs.train := $(needs.all)
endif
REAL_RUN := $(call real,$(RUN))
needs.redo := $(call results,$(call source,$(REAL_RUN)))
# The goals, what they need, what that needs, and so on; and what of it is to be trained now.
all_of = $(foreach g,$1,$g $(call all_of,$(needs.$g)))
TODO  := $(filter-out $(FINISHED),$(filter $(RESULTS),$(sort $(call all_of,$(MAKECMDGOALS)))))

# --- Runs at a time -------------------------------------------------------------------------------------------------
ifneq ($(TODO),)
MACHINE := $(shell $(COUNT) machine $(GPUS))
$(if $(word 2,$(MACHINE)),,$(error experiments/jobs.py does not say how many runs at a time this machine takes))
CORES   := $(word 1,$(MACHINE))
# An explicit -j counts: make prefers one on the command line, and a make within this make has it in its environment.
ifeq ($(filter -j%,$(MAKEFLAGS) $(shell echo "$${MAKEFLAGS-}")),)
MAKEFLAGS += -j$(or $(JOBS),$(word 2,$(MACHINE)))
endif
# Where a make notes what was said and which runs have ended. Those of a week ago are removed.
SAID_HERE := $(shell tmp=$${TMPDIR:-/tmp}; \
  find "$$tmp" -maxdepth 1 -name "make-$$UID-*.said" -mtime +7 -delete 2>/dev/null || true; \
  echo "$$tmp/make-$$UID-$$PPID-$$(date +%s).said")
$(RESULTS): export SAID := $(SAID_HERE)
# The progress bars of several runs would overwrite each other.
$(RESULTS): export TQDM_DISABLE = $(if $(SEVERAL),1)
endif

# How many runs there will be at a time: make knows what -j it follows only while it makes something.
AT_ONCE = $(words $(if $(filter -j,$(MAKEFLAGS)),$(TODO),$(wordlist 1,$(or $(patsubst \
  -j%,%,$(filter -j%,$(MAKEFLAGS))),1),$(TODO))))
SEVERAL = $(filter-out 0 1,$(AT_ONCE))
DRY_RUN = $(findstring n,$(filter-out -%,$(firstword $(MAKEFLAGS))))
# These are worked out once, by the first who asks.
THREADS = $(eval THREADS := $(shell echo $$(( $(CORES) > $(AT_ONCE) ? $(CORES) / $(AT_ONCE) : 1 ))))$(THREADS)
SLOTS   = $(eval SLOTS := $(shell seq $$(( ($(AT_ONCE) + $(GPUS) - 1) / $(GPUS) ))))$(SLOTS)

# --- Training -------------------------------------------------------------------------------------------------------
# A run waits for a GPU that has room and holds a lock on its place while it lives: the lock goes on to train.py. All
# first places are taken before the second ones, so that the runs are spread evenly.
COMMA   := ,
VISIBLE := $(or $(subst $(COMMA), ,$(CUDA_VISIBLE_DEVICES)),$(shell seq 0 $$(( $(GPUS) - 1 ))))
GPU_LOCK = "$${TMPDIR:-/tmp}/gpu-$$gpu-$$place.$$UID.lock"
take_gpu = while true; do for place in $(or $(SLOTS),1); do for gpu in $(wordlist 1,$(GPUS),$(VISIBLE)); do \
  exec 9>$(GPU_LOCK); flock -n 9 && break 3 || true; done; done; sleep 1; done; CUDA_VISIBLE_DEVICES=$$gpu
command = $(PY) train.py $(call flags,$1)$(if $(filter-out runs,$(RUNS)), --runs $(RUNS)) --run $1 --seed $2$(if \
  $(filter-out data,$(DATA)), --data-dir $(DATA_DIR))
run_of  = $(patsubst %/,%,$(dir $1))
seed_of = $(patsubst seed%,%,$(notdir $1))

# With several runs at a time each gets its part of the cores: two that want all of them are slower than one by one.
train = $(if $(filter-out 1,$(GPUS)),$(take_gpu) )$(if $(SEVERAL),OMP_NUM_THREADS=$(THREADS) )$(if $(filter-out \
  1,$(GPUS)),exec )$(call command,$(call run_of,$1),$(call seed_of,$1))$(if $(STOP_AT), --stop-at $(STOP_AT))

# What precedes and follows a run, a line of its recipe each. Another make may be training the run that it starts from.
define NEWLINE


endef
wait_for = $(if $(DRY_RUN),,$(foreach r,$(needs.$1),$(COUNT) wait $r $(STOP_AT)$(NEWLINE)))
say_left = $(if $(DRY_RUN),,$(if $(word 2,$(TODO)),$(COUNT) left $1 $(shell date +%s) $(words $(TODO)) $(AT_ONCE)))
TIME_IS_UP = $(or $(SAID_NO_TIME),$(if $(STOP_AT),$(shell [ $$(date +%s) -ge $(STOP_AT) ] && echo yes)))
no_time = $(if $(SAID_NO_TIME),,$(eval SAID_NO_TIME := yes)echo "no time left for $1 and what comes after it")

# Of results that are goals the first one for which there is no time fails for all that come after it.
is_there = $(if $(SAID_NO_TIME),$(if $(SAID_MISSING),,$(call fail_once,$1)),$(COUNT) wait $1 $(STOP_AT) && test -e $1)
fail_once = $(if $(shell test -e $1 || echo missing),$(eval SAID_MISSING := yes)false)

# The shell becomes train.py, so that a signal to make reaches it. It may fail without ending the rest ("-"): a run that
# diverged (3) is a result, one that lacks data (2) or time (75) is named by the status line. Only a result that is a
# goal by itself has to be there in the end.
$(RESULTS): $(RUNS)/%/result.json: | venv
	$(if $(TIME_IS_UP),$(call no_time,$*),$(call wait_for,$@)-$(call train,$*)$(NEWLINE)$(call say_left,$@))
	$(if $(filter $@,$(MAKECMDGOALS)),$(if $(DRY_RUN),,$(call is_there,$@)))
$(STALE): FORCE
.PRECIOUS: $(RESULTS)

REPORT = $(PY) experiments/report.py
WHERE  = --runs $(RUNS) --data-dir $(DATA_DIR) --seeds "$(SEEDS)" --flags="$(OTHER)"

# eval: what is needed differs from goal to goal, which no pattern says.
$(foreach g,$(patsubst needs.%,%,$(filter needs.%,$(.VARIABLES))),$(eval $g: | $(needs.$g)))

$(addprefix exp-,$(EXPS)): exp-%: | venv
	$(REPORT) exp $* $(WHERE)

$(addprefix report-,$(REPORTS)): report-%: | venv
	$(REPORT) exp $(call of_report,$*) $(WHERE)

all: | venv ## every run of every report, then all figures and tables
	$(REPORT) exp $(EXPS) $(WHERE)

train: | venv ## every run of every report, the longest first, without figures and tables
	$(REPORT) done $(WHERE)

# Its seeds are three or one, as campaign.py says, unless SEEDS says which.
OF_CAMPAIGN = $(WHERE) --seeds "$(SEEDS_GIVEN)"
campaign: | venv ## what is not measured yet, the runs first that decide most claims per hour; the same command goes on
	left=$$($(REPORT) targets $(OF_CAMPAIGN)); [[ -n $$left ]] || exit 0; \
	  seeds=$$(grep -o 'seed[0-9]*/' <<<"$$left" | tr -dc '0-9\n' | sort -nu | xargs); \
	  $(MAKE) SEEDS="$$seeds" $$left || true
	$(REPORT) left $(OF_CAMPAIGN)

# --- Looking, and the rest ------------------------------------------------------------------------------------------
help: ## this list
	echo 'make TARGET [SEEDS="0 1 2"] [DATA=data] [RUNS=runs] [JOBS=4] [GPUS=1] [BF16=1] [PYTHON=python3]'
	echo '            [FLAGS="--epochs 5"] [SYNTHETIC=1] [STOP_AFTER=50m]'
	awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  %-28s %s\n", $$1, $$2}' Makefile
	awk 'FNR==1{n=split(FILENAME,p,/[\/.]/); line=""; printf "  %-28s %s\n", "report-" p[n-1], "all of " FILENAME} \
	  /^## /{line=(above ? line " " : "") substr($$0,4); above=1; next} {above=0} \
	  /^exp\./{sub(/^exp\./,""); sub(/[ \t:=].*/,""); printf "    %-26s %s\n", "exp-" $$0, line; line=""}' experiments/*.mk

quickstart: ## on a bare machine: builds .venv, then exp-bn-dropout in miniature on generated faces; about two minutes
	$(MAKE) exp-bn-dropout SYNTHETIC=1 RUNS=runs-quickstart FLAGS="--batch-size 16 --epochs 30"

# Two at a time, each with one thread, where pytest-xdist is installed.
TWO_AT_A_TIME = $(if $(shell $(PY) -c 'import xdist' 2>/dev/null && echo yes),-n 2 --dist worksteal)
test: | venv ## the tests
	$(PY) -m pytest -q tests $(TWO_AT_A_TIME)

smoke: | venv ## every declared run for three steps on generated data
	rm -rf runs-smoke
	$(MAKE) all SYNTHETIC=1 RUNS=runs-smoke FLAGS="--max-steps 3 --batch-size 8"

list: | venv ## every comparison, its runs and what the reports printed; names declared flags that make no sense
	$(REPORT) list

status: | venv ## which runs are done, diverged, running, interrupted, failed or missing
	$(REPORT) status $(WHERE)

show: known-run ## RUN=keypoints/adam-bn: its exact command
	$(foreach s,$(SEEDS),$(KEEP) once -- $(call command,$(REAL_RUN),$s);)

# The run that it starts from is trained first, if need be. Seeds follow each other, a command and a line for each.
redo: known-run | venv ## RUN=keypoints/adam-bn: train it anew; the old result is kept aside
	$(foreach s,$(SEEDS),-$(call train,$(REAL_RUN)/seed$s) --restart$(NEWLINE))
	$(REPORT) status $(RUN) $(WHERE)

known-run:
	$(if $(run.$(REAL_RUN)),$(if $(alias.$(RUN)),echo "# $(RUN) = $(REAL_RUN)",:),echo \
	  "RUN=$(RUN) is not declared; make list names the runs" >&2; exit 2)

report: | venv ## merges finished runs into results/records.jsonl and makes the pages of results/; never trains
	$(REPORT) report --runs $(RUNS) --data-dir $(DATA_DIR)

bench: | venv ## times training beside the reports' way, threads, packing, layouts; writes results/bench.md
	$(PY) experiments/bench.py --data-dir $(DATA_DIR) --out results

torture: | venv ## MINUTES=60 OUT=results: kills runs at random, compares how they end; writes OUT/torture.md
	$(PY) experiments/torture.py --minutes $(strip $(MINUTES)) --out '$(OUT)'

clean: ## generated trials and caches of Python; never data, results, runs or runs-flags
	rm -rf runs-smoke runs-quickstart runs-synthetic runs-synthetic-flags .pytest_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

declared: # for experiments/declarations.py
	:$(foreach v,$(filter exp.% plots.% run.% alias.% want.% claim.% headline.%,$(.VARIABLES)),$(info $v=$(strip $($v))))

# The interpreter: nothing to do where PYTHON is given or requirements.txt is what .venv was made from.
ifeq ($(strip $(PYTHON)),)
venv: .venv/requirements.txt
.venv/requirements.txt: $(if $(filter-out $(file <requirements.txt),$(file <.venv/requirements.txt)),FORCE)
	echo "building .venv: some minutes and 6 GB"
	python3 -m venv .venv
	.venv/bin/python -m pip install -q -r requirements.txt
	cp requirements.txt $@
endif

FORCE:
.PHONY: FORCE venv help quickstart test smoke list status show redo known-run report bench torture clean declared \
  all train $(addprefix exp-,$(EXPS)) $(addprefix report-,$(REPORTS))
