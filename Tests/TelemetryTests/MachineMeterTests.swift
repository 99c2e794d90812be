import Model
import Testing

@testable import Telemetry

@Suite struct MachineMeterTests {
    @Test("the machine's memory and the folder's disk are read, and their shares are shares")
    func machine() {
        let load = MachineMeter(folder: "/tmp").read()
        #expect(load.memoryTotalBytes > load.memoryFreeBytes && load.memoryFreeBytes > 0)
        #expect(load.diskTotalBytes >= load.diskFreeBytes && load.diskTotalBytes > 0)
        #expect((0...100).contains(load.cpuPercent) && (0...100).contains(load.memoryPercent))
        #expect((0...100).contains(load.diskPercent))
    }

    @Test("this process has used memory and descriptors")
    func process() {
        let usage = ProcessUsage.now()
        #expect(usage.residentBytes > 1 << 20)
        #expect(usage.openDescriptors >= 3)
        #expect(usage.cpuSeconds >= 0)
    }

    @Test("a counter kept elsewhere is brought up to its total, and never back")
    func counter() {
        let registry = MetricsRegistry()
        CounterReading.set("seen_total", to: 5, in: registry)
        CounterReading.set("seen_total", to: 7, in: registry)
        CounterReading.set("seen_total", to: 3, in: registry)
        #expect(registry.exposition().contains("seen_total 7\n"))
    }
}
