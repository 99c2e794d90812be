import CoreMetrics

/// The figures of this process under the names that collectors know.
package struct ProcessMetrics: Sendable {
    private let registry: MetricsRegistry

    package init(registry: MetricsRegistry) {
        self.registry = registry
        collect()
    }

    package func collect() {
        let usage = ProcessUsage.now()
        CounterReading.set("process_cpu_seconds_total", to: usage.cpuSeconds, in: registry)
        registry.makeMeter(label: "process_resident_memory_bytes", dimensions: []).set(Double(usage.residentBytes))
        registry.makeMeter(label: "process_open_fds", dimensions: []).set(Double(usage.openDescriptors))
    }
}

/// Counters that somebody else keeps: they are brought up to his total at each reading.
package enum CounterReading {
    package static func set(
        _ label: String, _ dimensions: [(String, String)] = [], to total: Double, in registry: MetricsRegistry
    ) {
        guard let series = registry.makeCounter(label: label, dimensions: dimensions) as? CounterSeries else { return }
        series.increment(by: total - series.current)
    }
}
