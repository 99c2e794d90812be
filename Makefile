# Coxswain: everything that a fresh machine needs, in two commands: `make demo` and `make test`.
SHELL := /bin/bash
.DEFAULT_GOAL := build

PROGRAMS := coxswain-agent coxswain-coordinator coxctl
SYSTEM_PACKAGES := libssl-dev liblz4-dev libsqlite3-dev pkg-config lz4 strace

CORE_TESTS := (Model|Membership|RoutingTable|Access|KeyEncoding|DurableLog|Replication|Movement|AgentCore|Consensus|Catalog|Planning|CoordinatorCore|Linearizability|Simulation|Conversation)Tests|TidyTests
PROTOCOLS := $(wildcard Shared/Wire/Protocols/*.proto)

.PHONY: deps build release demo test test-cores test-long sim sim-crash sim-mutants sim-swim sim-swim-mutants traces-rewrite chaos bench bench-data bench-raft bench-swim lint format proto clean

## deps: installs the Debian packages that are missing
deps:
	@missing=(); for package in $(SYSTEM_PACKAGES); do \
	  dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing+=($$package); done; \
	if [ $${#missing[@]} -eq 0 ]; then exit 0; fi; \
	if [ "$$(id -u)" -ne 0 ]; then \
	  echo "missing packages: $${missing[*]}"; echo "install them as root: apt-get install $${missing[*]}"; exit 1; fi; \
	echo "installing $${missing[*]}"; apt-get update -qq && \
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$${missing[@]}" >/dev/null

## build: everything, for debugging
build: deps
	swift build

## release: the programs, optimised; one product at a time
release: deps
	@set -e; for program in $(PROGRAMS); do swift build -c release --product $$program; done

## demo: a real cluster of processes shows the main job; ONCE=1 ends by itself and exits 0 only if every step held
demo: release
	.build/release/coxctl demo $(if $(ONCE),--once)

## test: every test; the cores' simulations by themselves and optimised, the others one at a time, for those that wait for a socket
## or a process would starve beside each other. All that they say is kept in .build/tests.log; what failed, or what a hang left
## unfinished, is said once more at the end.
test: deps test-cores
	swift build --build-tests
	@set -o pipefail; SWIFT_BACKTRACE=enable=no timeout --foreground 45m swift test --skip-build --no-parallel --skip '^($(CORE_TESTS))\.' 2>&1 \
	  | tee .build/tests.log | grep --line-buffered -vE '^(◇|✔ Test (case|")|  )' \
	  || { echo; echo "failed:"; grep -aE '^✘|^error:|Fatal error' .build/tests.log || tail -n 3 .build/tests.log; exit 1; }

## test-long: real coordinators that are killed, stopped, cut off and out of disk for long, a hundred members of gossip that are, real
## processes killed before and after each step of moves and splits, and ten million strange messages for gossip to read: half an hour in
## all, or somewhat more
test-long: deps
	swift build --build-tests
	LONG=1 swift test --skip-build --no-parallel --filter 'EndToEndTests\.(Raft|ClusterTests/.*Killed)|TransportTests\.(Crowd|GossipFuzz)'

## test-cores: the pure cores alone, in seconds
test-cores:
	CORES_ONLY=1 swift test -c release -Xswiftc -enable-testing --scratch-path .build-core

## sim: coordinators' groups and whole clusters under every fault: SEEDS and CLUSTERS fixed seeds, then fresh ones until SECONDS have
## passed; SEED=N replays one of a group, with CLUSTER=1 one of a cluster
SECONDS ?= 300
SEEDS ?= 200
CLUSTERS ?= 40
sim:
	CORES_ONLY=1 swift build -c release -Xswiftc -enable-testing --scratch-path .build-core --product simulate
	.build-core/release/simulate $(if $(SEED),$(if $(CLUSTER),--cluster) --seed $(SEED),--seeds $(SEEDS) --clusters $(CLUSTERS) --seconds $(SECONDS) --jobs $$(nproc))

## sim-crash: kills every party before and after every step of every operation, and tells what came of it; ONLY=name those operations
## alone, SEED=N at other times
sim-crash:
	CORES_ONLY=1 swift build -c release -Xswiftc -enable-testing --scratch-path .build-core --product simulate
	.build-core/release/simulate --jobs $$(nproc) --crash-matrix $(ONLY) $(if $(SEED),--seed $(SEED))

## sim-mutants: plants every known bug by itself and tells which scenario, story or seed notices it; ONLY=name plants those alone
sim-mutants:
	CORES_ONLY=1 swift build -c release -Xswiftc -DMUTANTS --scratch-path .build-mutants --product simulate
	.build-mutants/release/simulate --jobs $$(nproc) --mutants $(ONLY)

## sim-swim: failure detection: every story once, then clusters of MEMBERS='1000 10000' measured at 1 % loss
MEMBERS ?= 1000 10000
sim-swim:
	CORES_ONLY=1 swift build -c release -Xswiftc -enable-testing --scratch-path .build-core --product simulate-members
	.build-core/release/simulate-members
	@set -e; for count in $(MEMBERS); do .build-core/release/simulate-members --scale $$count; done

## sim-swim-mutants: turns off each rule of failure detection by itself and tells which story fails without it; ONLY=name, those alone
sim-swim-mutants:
	CORES_ONLY=1 swift build -c release -Xswiftc -DMUTANTS --scratch-path .build-mutants --product simulate-members
	.build-mutants/release/simulate-members --mutants $(ONLY)

## chaos: a real cluster on a network of its own is broken in every way for MINUTES, and every acknowledged write is audited (as root);
## SEED=N draws the same trouble again, ONLY='kill cut' makes these kinds alone
MINUTES ?= 10
chaos: release
	swift build -c release --product chaos
	.build/release/chaos --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY))

## traces-rewrite: writes down anew what follows in the conversations, after a change that was meant; read the diff before you keep it
traces-rewrite:
	REWRITE_TRACES=1 CORES_ONLY=1 swift test -c release -Xswiftc -enable-testing --scratch-path .build-core --filter ConversationTests
	git diff --stat -- Tests/ConversationTests

## bench: figures in release, beside the machine's; JSON=1 prints one object a row, ONLY='commit move' measures these parts alone
bench: release
	swift build -c release --product Benchmarks
	.build/release/Benchmarks $(if $(JSON),--json) $(if $(FULL),--full) $(if $(ONLY),--only $(ONLY))

## bench-data: rows written and read, beside the disk and Debian's PostgreSQL with a synchronous standby; then moves, splits, failovers,
## catching up, routes and tokens; JSON=1 and FULL=1 as above
bench-data: release
	swift build -c release --product Benchmarks
	.build/release/Benchmarks --only data log move gap failover catch-up route token $(if $(JSON),--json) $(if $(FULL),--full)

## bench-raft: our coordinators beside Debian's etcd-server, by turns, then ours on a slower disk; JSON=1 and FULL=1 as above
bench-raft: release
	swift build -c release --product Benchmarks
	.build/release/Benchmarks --only raft raft-slow $(if $(JSON),--json) $(if $(FULL),--full)

## bench-swim: our members beside Debian's serf agents, by turns; FULL=1 adds 200 members, the freeze grid, and 12 kills of each; JSON=1 as above
bench-swim:
	swift build -c release --product Benchmarks
	.build/release/Benchmarks --only swim $(if $(JSON),--json) $(if $(FULL),--full)

## lint: formatting, and the rules that TidyTests keep
lint:
	swift format lint --configuration .swift-format --strict --recursive --parallel $$(git ls-files '*.swift' | grep -v '\.pb\.swift$$')
	CORES_ONLY=1 swift test -c release -Xswiftc -enable-testing --scratch-path .build-core --filter TidyTests

## format: rewrites the sources in the one form
format:
	swift format --configuration .swift-format --in-place --recursive --parallel $$(git ls-files '*.swift' | grep -v '\.pb\.swift$$')

## proto: makes the Swift of the contract anew; needs protoc and protoc-gen-swift
proto:
	protoc -I Shared/Wire/Protocols --swift_opt=Visibility=Package --swift_opt=UseAccessLevelOnImports=true --swift_out=Shared/Wire/Generated $(PROTOCOLS)

clean:
	rm -rf .build .build-core .build-mutants
