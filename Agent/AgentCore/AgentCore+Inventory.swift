// What this node holds, told to the coordinators. What a topology of its own says is over, the node drops by itself (`dropStrays`,
// `installChildren`, `cleanUp`); here it says what it keeps all the same, so that nothing lies on a disk of which nobody knows.

package import Model
import Replication

extension AgentCore {
    /// Compared with the newest topology that is both applied and on disk.
    ///
    /// - Complexity: O(replicas) when each is in its place.
    package var inventory: Inventory {
        var strays: [StrayReplica] = []
        for (id, local) in locals {
            let epoch = max(local.provenEpoch, local.replica?.hard.epoch ?? Epoch(0))
            let held = StrayReplica(partition: id, storage: local.storage, epoch: epoch, isBeingRemoved: local.isDropping)
            switch topology.standing(of: held, on: identity.node) {
            case .wanted: continue
            case .recorded:
                strays.append(StrayReplica(partition: id, storage: local.storage, epoch: epoch, isBeingRemoved: true))
            case .over, .ahead, .unknown: strays.append(held)
            }
        }
        return Inventory(
            revision: min(savedRevision, topology.revision), replicas: locals.count, strayCount: strays.count,
            strays: Array(strays.sorted().prefix(Inventory.most)))
    }
}
