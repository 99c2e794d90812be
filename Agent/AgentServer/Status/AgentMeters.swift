import CoreMetrics
import Model
package import Telemetry

/// What an agent measures as it happens, rather than when somebody asks: each series exists from the start, at zero.
package struct AgentMeters: Sendable {
    /// Judging a token.
    let verification: any TimerHandler
    /// Requests whose route was an old one.
    let staleRejects: any CounterHandler
    /// From the leader's stamp on a change to its being applied here.
    let propagation: any TimerHandler
    /// From learning of a promotion after a failure to serving.
    let recovery: any TimerHandler
    /// Entries of peers that were not taken, since too many bytes waited for this node's log.
    let droppedPrepares: any CounterHandler
    /// Reading the storages through for what the disk has lost: bytes read, damaged pages found, and times all was read.
    let scrubbedBytes: any CounterHandler
    let damagedPages: any CounterHandler
    let scrubs: any CounterHandler
    /// Bytes of rows that copies have sent and taken in, packed as they were not, and how long their chunks were held back for it.
    let sentCopies: any CounterHandler
    let receivedCopies: any CounterHandler
    let copyPauses: any TimerHandler
    /// From a ping to its answer.
    let roundTrip: any TimerHandler

    package init(in registry: MetricsRegistry = MetricsRegistry()) {
        verification = registry.makeTimer(label: "coxswain_jwt_verify_seconds", dimensions: [])
        staleRejects = registry.makeCounter(label: "coxswain_routing_stale_rejects_total", dimensions: [])
        propagation = registry.makeTimer(label: "coxswain_routing_propagation_seconds", dimensions: [])
        recovery = registry.makeTimer(label: "coxswain_failover_recover_seconds", dimensions: [])
        droppedPrepares = registry.makeCounter(label: "coxswain_replication_dropped_prepares_total", dimensions: [])
        scrubbedBytes = registry.makeCounter(label: "coxswain_scrub_bytes_total", dimensions: [])
        damagedPages = registry.makeCounter(label: "coxswain_scrub_damaged_pages_total", dimensions: [])
        scrubs = registry.makeCounter(label: "coxswain_scrub_passes_total", dimensions: [])
        sentCopies = registry.makeCounter(label: "coxswain_copy_sent_bytes_total", dimensions: [])
        receivedCopies = registry.makeCounter(label: "coxswain_copy_received_bytes_total", dimensions: [])
        copyPauses = registry.makeTimer(label: "coxswain_copy_pause_seconds", dimensions: [])
        roundTrip = registry.makeTimer(label: "coxswain_gossip_probe_rtt_seconds", dimensions: [])
    }
}

extension TimerHandler {
    func record(_ span: Span) { recordNanoseconds(span.microseconds.multipliedReportingOverflow(by: 1_000).partialValue) }
}
