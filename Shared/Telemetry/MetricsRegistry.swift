// Metrics for Prometheus behind swift-metrics: a registry of series, and the text in which it is read.

package import CoreMetrics
import Synchronization

/// Keeps every series of this process. A series exists, with the value zero, from the moment at which somebody names it.
///
/// The number of series is bounded: beyond it new ones count but are not shown, and `coxswain_metrics_dropped_total` says so.
package final class MetricsRegistry: MetricsFactory {
    /// Seconds, from a disk that is fast to an operation that has gone wrong.
    package static let latencyBounds: [Double] = [
        0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
    ]

    struct Identity: Hashable, Comparable {
        let name: String
        /// Sorted by name.
        let labels: [Label]

        static func < (a: Self, b: Self) -> Bool {
            (a.name, a.labels.map(\.text).joined()) < (b.name, b.labels.map(\.text).joined())
        }
    }

    struct Label: Hashable {
        let name: String
        let value: String
        var text: String { "\(name)=\"\(PrometheusText.escaped(value))\"" }
    }

    enum Series {
        case counter(CounterSeries)
        case gauge(GaugeSeries)
        case histogram(HistogramSeries)
    }

    private struct State {
        var series: [Identity: Series] = [:]
        var kinds: [String: String] = [:]
        var dropped = 0
    }

    private let state = Mutex(State())
    private let limit: Int

    package init(limit: Int = 10_000) { self.limit = limit }

    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        counter(label, dimensions)
    }

    package func makeFloatingPointCounter(label: String, dimensions: [(String, String)]) -> any FloatingPointCounterHandler {
        counter(label, dimensions)
    }

    package func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler { gauge(label, dimensions) }

    package func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        aggregate ? histogram(label, dimensions) : gauge(label, dimensions)
    }

    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler { histogram(label, dimensions) }

    // Series stay until the process ends: one that disappears reads as a gap, not as zero.
    package func destroyCounter(_ handler: any CounterHandler) {}
    package func destroyMeter(_ handler: any MeterHandler) {}
    package func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) {}
    package func destroyRecorder(_ handler: any RecorderHandler) {}
    package func destroyTimer(_ handler: any TimerHandler) {}

    private func counter(_ label: String, _ dimensions: [(String, String)]) -> CounterSeries {
        let found = find(label, dimensions, kind: "counter") { .counter(CounterSeries()) }
        if case .counter(let series) = found { return series }
        return CounterSeries()
    }

    private func gauge(_ label: String, _ dimensions: [(String, String)]) -> GaugeSeries {
        let found = find(label, dimensions, kind: "gauge") { .gauge(GaugeSeries()) }
        if case .gauge(let series) = found { return series }
        return GaugeSeries()
    }

    private func histogram(_ label: String, _ dimensions: [(String, String)]) -> HistogramSeries {
        let found = find(label, dimensions, kind: "histogram") { .histogram(HistogramSeries(bounds: Self.latencyBounds)) }
        if case .histogram(let series) = found { return series }
        return HistogramSeries(bounds: Self.latencyBounds)
    }

    /// The series of that name and those labels, made if need be. Nil when the name is in use for another kind of series, or
    /// when there are too many: the caller then gets one that nobody reads.
    private func find(_ label: String, _ dimensions: [(String, String)], kind: String, make: () -> Series) -> Series? {
        let identity = Identity(
            name: PrometheusText.name(label),
            labels: dimensions.map { Label(name: PrometheusText.name($0.0), value: $0.1) }.sorted { $0.name < $1.name })
        return state.withLock { state in
            guard state.kinds[identity.name] ?? kind == kind else {
                state.dropped += 1
                return nil
            }
            if let known = state.series[identity] { return known }
            guard state.series.count < limit else {
                state.dropped += 1
                return nil
            }
            let made = make()
            state.kinds[identity.name] = kind
            state.series[identity] = made
            return made
        }
    }

    /// Everything, in the text format 0.0.4 of Prometheus, sorted by name and labels.
    package func exposition() -> String {
        let (series, kinds, dropped) = state.withLock { ($0.series, $0.kinds, $0.dropped) }
        var text = PrometheusText()
        for (identity, value) in series.sorted(by: { $0.key < $1.key }) {
            text.append(identity, value, kind: kinds[identity.name] ?? "untyped")
        }
        let name = "coxswain_metrics_dropped_total"
        let counter = CounterSeries()
        counter.increment(by: Int64(dropped))
        text.append(Identity(name: name, labels: []), .counter(counter), kind: "counter")
        return text.text
    }
}
