import Catalog
import Model

extension Command {
    /// Whether writers may be waiting behind a fence for what becomes of it (rule M4).
    var mayEndFence: Bool {
        if case .partition(let proposal, _, _) = self { return proposal.mayEndFence }
        if case .abortOperation = self { return true }
        return false
    }

    /// Whether the cluster serves worse, or less safely, without it. While the leader's disk is nearly full these alone are handed in:
    /// the log has space reserved for them, and people's changes are refused before they could use it up.
    var isEssential: Bool {
        switch self {
        case .registerNode, .partition, .nodeFailed, .nodeReturned, .abortOperation, .revokeToken, .forcePromotion: true
        // The ways out: who has room may lead, a member with room may come, one without may go.
        case .declareCoordinator, .dismissCoordinator, .forgetCoordinator, .steerGroup: true
        case .declareNode, .createTable, .dropTable, .setCapacity, .beginMove, .beginSplit, .beginMerge, .beginTransfer, .drain,
            .undrain, .decommission, .setPolicy, .removePolicy, .addSigningKey, .retireSigningKey, .grantRole, .configure,
            .pauseOperation, .resumeOperation, .removeOrphan,
            .createJoinToken, .useJoinToken, .seedGossipKeys, .rotateGossipKey, .advanceGossipRotation,
            .cancelGossipRotation:
            false
        }
    }
}
