// A simulated agent's engine: rows in memory, worked on one thing after another, each of which takes a moment; on disk as an image that is
// replaced whole. What the engine must have on disk before it says so waits for the next image.

import AgentCore
import Model
import Movement
import Replication
import SimulationKit

extension AgentProcess {
    mutating func give(_ work: LaneWork, at now: LogicalInstant, after least: Span = .zero) {
        // Mostly prompt; now and then a checkpoint or another partition's work is in the way.
        let pause = random.next() % 64 == 0 ? 20_000 : 20 + Int64(random.next() % 300)
        let turn = max(lane.last?.due ?? now, now)
        lane.append((max(turn, now + least) + .microseconds(pause), work))
    }

    mutating func work(_ work: LaneWork, at now: LogicalInstant, _ effects: inout Sending) {
        switch work {
        case .action(let action): carryOut(action, at: now, &effects)
        case .recall(let caller): recall(for: caller, at: now, &effects)
        case .order(let caller, let request): order(request, for: caller)
        case .read(let caller):
            guard let known = callers[caller] else { return }
            give(.answerRead(caller, engine[known.request.partition]?.values[known.request.key] ?? 0), at: now)
        case .answerRead(let caller, let value):
            guard let known = callers.removeValue(forKey: caller) else { return }
            let refusal = core.confirmRead(of: known.request.partition, at: known.request.epoch, now: now)
            reply(refusal == nil || mutant == .answersUnconfirmedReads ? .value(value) : .refused, to: known, &effects)
        case .readCopy(let caller, let storage): lookUp(caller, in: storage, at: now, &effects)
        case .answerCopy(let caller, let storage, let value): answer(caller, value, from: storage, &effects)
        case .beginImport(let parcel, let copy, let host):
            guard let held = engine[parcel.partition] else { return end(parcel, at: host, isWhole: false, &effects) }
            var empty = EnginePartition(storage: parcel.storage, range: held.range)
            empty.importing = parcel.point
            engine[parcel.partition] = empty
            note(.beginImport, for: parcel.partition)
            wait(for: .importBegan(parcel, copy: copy, host: host), at: now)
        case .endImport(let parcel, let copy, let host):
            guard engine[parcel.partition]?.importing == parcel.point else {
                return end(parcel, at: host, isWhole: false, &effects)
            }
            var held = parcel.held
            held.storage = parcel.storage
            held.importing = nil
            if mutant == .copiesNoWrites { held.writes = [:] }
            // Of a register that nobody writes, or it would be right again soon.
            if spoilsSnapshots { held.values[ClusterOptions.keys] = 1 }
            engine[parcel.partition] = held
            snapshots += 1
            wait(for: .imported(parcel, copy: copy, host: host), at: now)
        }
    }

    private mutating func wait(for next: Afterwards, at now: LogicalInstant) {
        isEngineDirty = true
        if mutant == .speaksForEngineEarly { follow(next, at: now) } else { afterwards.append(next) }
    }

    /// What was to be on disk first is there.
    mutating func follow(_ next: Afterwards, at now: LogicalInstant) {
        switch next {
        case .tell(let input): soon.append(input)
        case .importBegan(let parcel, let copy, let host):
            give(.endImport(parcel, copy: copy, host: host), at: now, after: importTime)
        case .imported(let parcel, let copy, let host):
            note(.endImport, for: parcel.partition)
            soon.append(.snapshotInstalled(parcel.partition, parcel.storage, parcel.point, copy: copy))
            ended.append((host, parcel.number))
        }
    }

    private func end(_ parcel: SnapshotParcel, at host: Int, isWhole: Bool, _ effects: inout Sending) {
        effects.send(.snapshotEnded(parcel.number, isWhole: isWhole), to: host)
    }

    // MARK: - What the core orders

    private mutating func carryOut(_ action: AgentAction, at now: LogicalInstant, _ effects: inout Sending) {
        switch action {
        case .apply(let id, _, let entries): apply(entries, to: id)
        case .checksum(let id, _, let position):
            guard let held = engine[id], held.applied == position else { return }
            soon.append(.checksummed(id, position, held.checksum))
        case .create(let descriptor, let storage):
            engine[descriptor.id] = EnginePartition(storage: storage, range: descriptor.range)
            wait(for: .tell(.created(descriptor.id, storage)), at: now)
        case .installChildren(let first, let storage, let children) where !children[0].parents.isEmpty:
            merge(into: children[0], in: storage)
            wait(for: .tell(.childrenInstalled(parent: first)), at: now)
        case .installChildren(let parent, let storage, let children): install(children, of: parent, in: storage, at: now)
        case .drop(let id, let storage):
            if onLog.contains(id) { violations.append("\(node) drops \(id), which its log on disk still holds") }
            engine[id] = nil
            removed.append((id, storage))
            wait(for: .tell(.dropped(id, storage)), at: now)
        case .copy(let id, _, let peer, let storage, let term): send(id, to: peer, storage, term, at: now, &effects)
        case .append, .send, .acknowledge, .readable, .refuse, .propose, .stopCopy, .confirmQuorum, .findSplitKey,
            .topologyChanged, .askTopology, .evicting, .damaged:
            break
        }
    }

    private mutating func apply(_ entries: [Entry], to id: PartitionID) {
        // Taken out, so that nothing is copied when it changes.
        guard var held = engine.removeValue(forKey: id) else { return }
        if held.importing != nil { violations.append("\(node) applies \(id) to part of a snapshot") }
        for entry in entries where entry.sequence > held.applied.sequence {
            if entry.sequence != held.applied.sequence + 1 {
                violations.append("\(node) applies \(entry.position) of \(id) behind \(held.applied)")
            }
            if case .write(let payload, let once) = entry.body {
                let (key, value) = Self.register(in: payload)
                if !held.range.contains(ClusterOptions.key(key)) {
                    violations.append("\(node) writes register \(key) outside of \(held.range)")
                }
                held.values[key] = value
                if let once = remembers(once, in: id) {
                    held.remember(RememberedWrite(register: key, value: value, position: entry.position), under: once)
                }
                applied.append(AppliedWrite(partition: id, position: entry.position, register: key, value: value))
            }
            held.applied = entry.position
        }
        engine[id] = held
        isEngineDirty = true
        soon.append(.applied(id, held.applied.sequence))
    }

    private mutating func install(
        _ children: [PartitionDescriptor], of parent: PartitionID, in storage: StorageID, at now: LogicalInstant
    ) {
        let held = engine.removeValue(forKey: parent)
        if let held, held.applied.sequence < children[0].origin.sequence {
            violations.append("\(node) cuts \(parent) in two at \(held.applied), before \(children[0].origin)")
        }
        if held != nil, let child = children.first(where: { !onLog.contains($0.id) }) {
            violations.append("\(node) cuts \(parent) in two, and its log on disk knows nothing of \(child.id)")
        }
        if held == nil, children.contains(where: { engine[$0.id] == nil }) {
            violations.append("\(node) makes children of \(parent) out of nothing")
        }
        if let held {
            let left = held.values.keys.filter { register in
                !children.contains { $0.range.contains(ClusterOptions.key(register)) }
            }
            if let left = left.min() {
                violations.append("\(node) cuts \(parent) in two, and leaves register \(left) in neither half")
            }
            for child in children {
                var half = EnginePartition(storage: storage, range: child.range)
                half.values = held.values.filter { child.range.contains(ClusterOptions.key($0.key)) }
                if mutant != .splitsForgetWrites { half.inherit(held) { child.range.contains(ClusterOptions.key($0)) } }
                half.applied = child.origin
                engine[child.id] = half
            }
        }
        wait(for: .tell(.childrenInstalled(parent: parent)), at: now)
    }

    private mutating func merge(into merged: PartitionDescriptor, in storage: StorageID) {
        guard engine[merged.id] == nil else { return }
        if !onLog.contains(merged.id) {
            violations.append("\(node) merges into \(merged.id), of which its log on disk knows nothing")
        }
        var whole = EnginePartition(storage: storage, range: merged.range)
        for parent in merged.parents {
            guard let held = engine.removeValue(forKey: parent.partition) else {
                violations.append("\(node) merges \(parent.partition), which is not there")
                continue
            }
            if held.storage != storage || held.applied.sequence < parent.end.sequence {
                violations.append("\(node) merges \(parent.partition) at \(held.applied), before \(parent.end)")
            }
            whole.values.merge(held.values) { $1 }
            if mutant != .mergesForgetWrites { whole.inherit(held) }
        }
        whole.applied = merged.origin
        engine[merged.id] = whole
    }

    // MARK: - Copies

    private mutating func send(
        _ id: PartitionID, to peer: NodeID, _ storage: StorageID, _ term: Term, at now: LogicalInstant, _ effects: inout Sending
    ) {
        guard let held = engine[id], held.importing == nil, let point = core.point(of: id, at: held.applied.sequence),
            let epoch = core.topology.partitions[id]?.epoch, let to = places.host(of: peer)
        else { return soon.append(.copyEnded(id, to: peer, isWhole: false)) }
        lastCopy += 1
        copies[lastCopy] = (id, peer, now + .seconds(3))
        let parcel = SnapshotParcel(
            number: lastCopy, partition: id, storage: storage, epoch: epoch, term: term, from: node, held: held, point: point)
        effects.send(.snapshot(parcel), to: to)
    }

    mutating func take(_ parcel: SnapshotParcel, from sender: Int, at now: LogicalInstant, _ effects: inout Sending) {
        let learner = core.learner(
            of: parcel.partition, in: parcel.storage, at: parcel.epoch, from: parcel.from, term: parcel.term)
        guard learner != nil else { return end(parcel, at: sender, isWhole: false, &effects) }
        lastCopy += 1
        // Stepped at once: whatever the core is told next, it knows that its rows are being replaced.
        perform(core.step([.snapshotBegun(parcel.partition, parcel.storage, copy: lastCopy)], at: now), at: now, &effects)
        give(.beginImport(parcel, copy: lastCopy, host: sender), at: now)
    }
}
