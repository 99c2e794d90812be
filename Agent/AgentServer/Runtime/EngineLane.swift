// The work of one storage, one thing after another. An error is judged by what it asks for (rule F6): a full disk is waited for, as
// long as it takes, what may pass is tried again for a while, and only what will not change is said to the core. Nothing overtakes
// entries that wait; what takes long is done in steps between them, and rows are hashed beside them.

import AgentCore
import Engine
import Logging
import Model
import Replication
import Synchronization
import Transport
import Wire

final class EngineLane: Sendable {
    private enum Pace {
        /// Rows that one step of a chore takes away.
        static let rows = 1_000
        /// How long what may pass is tried again before it counts as what stays.
        static let patience = Span.seconds(30)
        /// Rows of so many partitions are hashed at a time; the primary asks again for what was left out.
        static let hashes = 2
    }

    let storage: StorageID
    /// What bounds them: entries wait in the log's memory until they are applied, and the core stops taking writes when that is full.
    let jobs = Mailbox<EngineJob>()
    private let engine: any StorageEngine
    private let troubles: EngineTroubles
    private let events: @Sendable (AgentInput) -> Void
    private let retire: @Sendable (EngineLane) -> Bool
    private let logger: Logger
    /// Its last partition was removed.
    private let isGone = Atomic<Bool>(false)
    private let hashing = Atomic<Int>(0)
    /// Who finds out which partitions a damaged page belongs to, one page after another.
    private struct Search {
        var isRunning = false
        /// Found meanwhile. Of many the newest is enough: each search reads all that there is.
        var next: UInt64?
    }
    private let search = Mutex(Search())
    /// Damaged pages that belong to nobody's rows: SQLite keeps them free, and writes them before it reads them.
    private let unused = Mutex<Set<UInt64>>([])

    /// - Parameter retire: takes a lane whose storage is gone out of use, unless there is something for it to do.
    init(
        storage: StorageID, engine: any StorageEngine, troubles: EngineTroubles, logger: Logger,
        events: @escaping @Sendable (AgentInput) -> Void, retire: @escaping @Sendable (EngineLane) -> Bool
    ) {
        self.storage = storage
        self.engine = engine
        self.troubles = troubles
        self.events = events
        self.retire = retire
        var logger = logger
        logger[metadataKey: "storage"] = "\(storage)"
        self.logger = logger
    }

    /// Works until the storage is gone, or the mailbox is closed and what is quick is done; the core asks again for the rest after the
    /// next start.
    func run() async {
        await withDiscardingTaskGroup { group in
            var agenda = LaneAgenda()
            var isDirty = true
            lane: while true {
                if agenda.isIdle(at: BootClock.now()) {
                    guard let gathered = await jobs.next() else { break }
                    agenda.add(gathered)
                } else {
                    agenda.add(jobs.taken())
                }
                while let job = agenda.takePrompt() {
                    if case .sync = job, !isDirty { continue }
                    if agenda.isMoot(job) { continue }
                    let isDone = await carryOut(job, &agenda, &group)
                    if case .sync = job { isDirty = !isDone } else { isDirty = true }
                    // What was to follow it would find a gap, and call it damage.
                    // Whoever is cancelled may see it before its mailbox is closed.
                    if !isDone, jobs.isClosed || Task.isCancelled { break lane }
                }
                if jobs.isClosed, !agenda.hasPrompt, jobs.count == 0 { break }
                if let isThere = await takeStep(&agenda, &group) { isDirty = isThere }
                if isGone.load(ordering: .relaxed), agenda.isEmpty, retire(self) { break }
            }
            group.cancelAll()
            for job in agenda.takeAll() + jobs.taken() { job.refuse(with: .failed(storage, detail: "the agent is stopping")) }
        }
    }

    // MARK: - What is quick

    /// Does it, however often it must be tried.
    ///
    /// - Returns: whether it is done.
    private func carryOut(
        _ job: EngineJob, _ agenda: inout LaneAgenda, _ group: inout DiscardingTaskGroup
    ) async -> Bool {
        var backoff = Backoff(first: .milliseconds(20), most: .seconds(1))
        let since = BootClock.now()
        while true {
            do throws(EngineError) {
                try await perform(job, &group)
                if backoff.failures > 0 { logger.notice("the engine goes on", metadata: ["tries": "\(backoff.failures + 1)"]) }
                report(held: nil, agenda)
                return true
            } catch {
                guard job.isHeld(by: error), error.remedy == .room || BootClock.now() < since + Pace.patience else {
                    fail(job, error)
                    report(held: nil, agenda)
                    return false
                }
                if backoff.failures == 0 { logger.error("the engine waits", metadata: ["error": "\(error)"]) }
                report(held: error, agenda)
                do { try await Task.sleep(for: .microseconds(backoff.next().microseconds)) } catch { return false }
                agenda.add(jobs.taken())
                for waiting in agenda.takeImports() { waiting.refuse(with: error) }
                // A removal may be what makes room: of its own partition, or of another one.
                if jobs.isClosed || agenda.isMoot(job) { return false }
                while await takeStep(&agenda, &group, behind: job) != nil {}
            }
        }
    }

    private func fail(_ job: EngineJob, _ error: EngineError) {
        logger.error("the engine failed", metadata: ["error": "\(error)"])
        switch job {
        case .apply(let id, _): events(.failed(id, "\(error)"))
        case .split(let id, _): events(.installationFailed(parent: id, "\(error)"))
        // What passes is no damage, and who wanted the comparison asks again (rule M6).
        case .checksum(let id, _): if error.remedy == .rebuild { events(.failed(id, "\(error)")) }
        case .create, .remove, .beginImport, .inspect, .sync, .wake: break
        }
    }

    /// Says what is waited for: entries before anything else.
    private func report(held error: EngineError?, _ agenda: LaneAgenda) {
        let chore = agenda.chores.lazy.compactMap(\.trouble).first
        let trouble = error.map { EngineTroubles.Trouble(error: $0, holdsEntries: true) }
        troubles.set(trouble ?? chore.map { EngineTroubles.Trouble(error: $0, holdsEntries: false) }, of: storage)
    }

    private func perform(_ job: EngineJob, _ group: inout DiscardingTaskGroup) async throws(EngineError) {
        switch job {
        case .apply(let id, let entries):
            let state = try await engine.apply(try entries.committed(in: storage), to: id, in: storage)
            events(.applied(id, state.applied.sequence))
            // What takes the partition's place is installed next, and is flushed then, with writers waiting for it.
            let endsPartition = entries.contains { if case .split = $0.body { true } else { false } }
            if endsPartition { jobs.put(.sync) }
        case .checksum(let id, let position):
            // Opened before the next entry is applied, so it stands exactly at the position, however long the hashing takes.
            let snapshot = try await engine.snapshot(of: id, in: storage)
            guard snapshot.state.applied == position, hashing.load(ordering: .relaxed) < Pace.hashes else {
                return await snapshot.close()
            }
            hashing.add(1, ordering: .relaxed)
            group.addTask { await self.hash(snapshot, job) }
        case .split(let parent, let children):
            let states = children.map {
                PartitionState(partition: $0.id, range: $0.range, applied: $0.origin, checksum: $0.originChecksum)
            }
            guard let first = children.first else { return }
            if first.parents.isEmpty {
                try await engine.split(parent, into: states, in: storage, at: first.origin)
            } else {
                try await engine.merge(first.parents, into: states[0], in: storage)
            }
            events(.childrenInstalled(parent: parent))
        case .sync:
            for state in try await engine.sync(storage) { events(.synced(state.partition, state.applied.sequence)) }
        case .create, .remove, .beginImport, .inspect, .wake: break
        }
    }

    private func hash(_ snapshot: any StorageSnapshot, _ job: EngineJob) async {
        do throws(EngineError) {
            let hash = try await snapshot.checksum().hash
            events(.checksummed(snapshot.state.partition, snapshot.state.applied, hash))
        } catch {
            if !Task.isCancelled { fail(job, error) }
        }
        await snapshot.close()
        hashing.subtract(1, ordering: .relaxed)
    }

    // MARK: - What takes many steps

    /// One step of the chore that is due.
    ///
    /// - Parameter held: what waits for room meanwhile; nothing but removals may go before it.
    /// - Returns: whether the storage is still there; with its last partition it is gone, and there is nothing left to sync. Nil:
    ///   nothing was due.
    private func takeStep(
        _ agenda: inout LaneAgenda, _ group: inout DiscardingTaskGroup, behind held: EngineJob? = nil
    ) async -> Bool? {
        let now = BootClock.now()
        guard let index = agenda.dueChore(at: now, behind: held) else { return nil }
        let job = agenda.chores[index].job
        do throws(EngineError) {
            switch job {
            case .create, .remove, .beginImport: if try await step(job) { agenda.finish(index) }
            case .inspect(let page, let limit, let caller):
                agenda.finish(index)
                do throws(EngineError) {
                    caller.resume(returning: .success(try await inspect(from: page, limit: limit, &group)))
                } catch {
                    // The next pass comes by here again.
                    caller.resume(returning: .failure(error))
                }
            case .apply, .checksum, .split, .sync, .wake:
                // It only waited for those before it.
                agenda.finish(index)
                _ = await carryOut(job, &agenda, &group)
            }
        } catch {
            if case .beginImport = job {
                // The sender hears of it and tries again; nothing here counts until then.
                agenda.finish(index)
                job.refuse(with: error)
            } else {
                let wait = agenda.postpone(index, because: error, at: now)
                if agenda.chores[index].backoff.failures == 1 {
                    logger.error("the engine failed; it is tried again", metadata: ["error": "\(error)"])
                }
                group.addTask { [jobs] in
                    try? await Task.sleep(for: .microseconds(wait.microseconds))
                    jobs.put(.wake)
                }
            }
        }
        if held == nil { report(held: nil, agenda) }
        // One that cannot be asked is there.
        var isThere = true
        do { isThere = try await engine.state(of: storage) != nil } catch {}
        isGone.store(!isThere, ordering: .relaxed)
        return isThere
    }

    /// - Returns: whether that was the last one.
    private func step(_ job: EngineJob) async throws(EngineError) -> Bool {
        switch job {
        case .create(let descriptor, let table):
            let state = PartitionState(partition: descriptor.id, range: descriptor.range, applied: .zero, checksum: 0)
            guard try await engine.create(storage, for: table, holding: state, limit: Pace.rows) else { return false }
            events(.created(descriptor.id, storage))
        case .remove(let id):
            guard try await engine.remove(id, from: storage, limit: Pace.rows) else { return false }
            events(.dropped(id, storage))
        case .beginImport(let start, let table, let advancing, let caller):
            let begun = try await engine.beginImport(
                storage, for: table, at: start, advancing: advancing, limit: Pace.rows)
            guard let begun else { return false }
            caller.resume(returning: .success(begun))
        case .apply, .checksum, .split, .inspect, .sync, .wake: break
        }
        return true
    }

    // MARK: - Looking for damage

    private func inspect(
        from page: UInt64, limit: Int, _ group: inout DiscardingTaskGroup
    ) async throws(EngineError) -> Inspection {
        let found = try await engine.inspect(storage, from: page, limit: limit)
        let isKnown = unused.withLock { unused in
            let isKnown = found.damaged.map { unused.contains($0) } ?? false
            unused = unused.filter { $0 < page || $0 >= page + found.inspected || $0 == found.damaged }
            return isKnown
        }
        if let damaged = found.damaged, !isKnown {
            logger.error("a page is damaged on the disk", metadata: ["page": "\(damaged)"])
            let isIdle = search.withLock { search in
                defer { search = Search(isRunning: true, next: damaged) }
                return !search.isRunning
            }
            // Entries go on meanwhile.
            if isIdle { group.addTask { await self.searchAll() } }
        }
        // What is nobody's loss is said once.
        return isKnown ? Inspection(pages: found.pages, pageSize: found.pageSize, inspected: found.inspected) : found
    }

    private func searchAll() async {
        while let page = search.withLock({ search in
            defer { search = Search(isRunning: search.next != nil) }
            return search.next
        }) {
            await find(page)
        }
    }

    /// Finds out what a damaged page takes with it, and says so.
    private func find(_ page: UInt64) async {
        let error = EngineError.damaged(storage, detail: "page \(page) of its file is not what was written")
        do throws(EngineError) {
            let partitions = try await engine.unreadablePartitions(in: storage)
            if partitions.isEmpty {
                unused.withLock { _ = $0.insert(page) }
                logger.notice("the damaged page is not in use", metadata: ["page": "\(page)"])
            } else {
                events(.storageDamaged(storage, partitions, "\(error)"))
            }
        } catch {
            // What only did not work now is found again by the next pass.
            if error.isDamage { events(.storageDamaged(storage, [], "\(error)")) }
        }
    }
}
