// What the comparison of failure detectors asks of a crowd of members, whoever made them.

import Glibc
import GossipKit

/// What a crowd has used so far, all members together; only differences say something.
struct CrowdUsage: Sendable {
    /// Seconds.
    var processor: Double
    /// UDP, sent.
    var packets: Double
    /// Payload of those; nil where nobody counts it.
    var bytes: Double?
    /// Resident, in MB.
    var memory: Double
}

protocol ComparedCrowd: Crowd {
    var title: String { get }

    func usage() throws -> CrowdUsage
}

extension GossipCrowd: ComparedCrowd {
    var title: String { "coxswain" }

    /// Processor and memory are those of this process, in which all its members live.
    func usage() throws -> CrowdUsage {
        let sent = sent
        return CrowdUsage(
            processor: try ProcessFigures.processor(of: getpid()), packets: sent.packets, bytes: sent.bytes,
            memory: try ProcessFigures.memory(of: getpid()).total)
    }
}
