// The runtime and its disk: writes go out in the core's order, and what became of each comes back in that order to the loop.

import Catalog
import Consensus
import CoordinatorCore
import Dispatch
import Glibc
import LogStorage
import Logging
import Metrics
import Model
import NIOCore

extension CoordinatorRuntime {
    func write(_ persist: Persist) {
        let start = ContinuousClock.now
        store.write(persist) { [loop, syncTimer] result in
            if !persist.entries.isEmpty || persist.hardStateChanged {
                syncTimer.recordNanoseconds(Int64((ContinuousClock.now - start) / .nanoseconds(1)))
            }
            loop.execute { self.assumeIsolated { $0.finish(persist, result) } }
        }
    }

    private func finish(_ persist: Persist, _ result: Result<Void, StorageError>) {
        guard !hasEnded else { return }
        switch result {
        case .failure(let error): stop("the log was not written: \(error)")
        case .success:
            for envelope in persist.answers { send(.raft(envelope.message), to: envelope.to) }
            step(.persisted(persist.sequence))
        }
        guard let snapshot = persist.snapshot else { return }
        logger.info("snapshot", metadata: ["at": "\(snapshot.id)", "bytes": "\(snapshot.contents.count)"])
        saved.continuation.yield(Saved(snapshot: snapshot, isNew: true))
    }

    func encode(_ state: CatalogSnapshot, at index: LogIndex) {
        encoder.async { [loop, encode = core.codec.encodeSnapshot] in
            let bytes = encode(state)
            loop.execute { self.assumeIsolated { $0.take(bytes, at: index) } }
        }
    }

    private func take(_ snapshot: [UInt8], at index: LogIndex) {
        guard !hasEnded else { return }
        step(.snapshotEncoded(snapshot, at: index))
    }

    /// What follows a snapshot, beside everything else and with nobody waiting: its bytes leave the memory, and the entries that it
    /// stands for the disk.
    func settleSnapshots() async {
        for await saved in saved.stream {
            let snapshot = saved.snapshot
            if let kept = await store.keep(snapshot) { step(.snapshotKept(kept, of: snapshot.id)) }
            guard saved.isNew else { continue }
            do {
                try await store.compact(below: snapshot.id.index)
            } catch {
                logger.warning("old entries stay on disk", metadata: ["reason": "\(error)"])
            }
        }
    }

    /// Not an exit: a restart loop would help nobody. The member is silent and not ready; where its store contradicts what the group
    /// knows, the next start begins another one. Where its state does, agents and watchers must not hear more of it: there it is one.
    func takeNoPart(after fault: Fault) {
        logger.critical("this store takes no part any more", metadata: ["fault": "\(fault)"])
        switch fault {
        case .conflictWithCommitted, .commitBeyondLog, .stateDiffers:
            store.condemn(because: "consensus: \(fault)") { [logger, loop] result in
                if case .failure(let error) = result {
                    logger.critical(
                        "the store is not condemned: do not start it again, remove it", metadata: ["error": "\(error)"])
                }
                guard case .stateDiffers = fault else { return }
                loop.execute { self.assumeIsolated { $0.stop("this member's state is not the group's") } }
            }
        case .secondLeader: break
        }
    }

    /// Going on could only do harm (rules C2 to C4).
    func stop(_ reason: String) {
        logger.critical("stopping", metadata: ["reason": "\(reason)"])
        exit(DiskFailureResponse.exitStatus)
    }
}
