import Model
import Movement
import Testing

@Suite struct SilenceWatchTests {
    private func at(_ milliseconds: Int64) -> LogicalInstant { .origin + .milliseconds(milliseconds) }

    @Test("an end that has waited for as long as the limit gives up, and not a moment sooner")
    func over() {
        var watch = SilenceWatch(limit: .milliseconds(500))
        watch.waits(at: at(1_000))
        #expect(!watch.isOver(at: at(1_499)))
        #expect(watch.isOver(at: at(1_500)))
    }

    @Test("each frame that comes is a new beginning, however many there are")
    func frames() {
        var watch = SilenceWatch(limit: .milliseconds(500))
        for turn in 0..<20 {
            watch.waits(at: at(Int64(turn) * 499))
            #expect(!watch.isOver(at: at(Int64(turn + 1) * 499)))
            watch.heard()
        }
    }

    @Test("what an end does by itself is no silence of the other's")
    func working() {
        var watch = SilenceWatch(limit: .milliseconds(500))
        #expect(!watch.isOver(at: at(1 << 40)))
        watch.waits(at: at(0))
        watch.heard()
        #expect(!watch.isOver(at: at(1 << 40)))
    }

    @Test("asked again while it waits, it counts from when it began")
    func goesOnWaiting() {
        var watch = SilenceWatch(limit: .milliseconds(500))
        watch.waits(at: at(0))
        watch.waits(at: at(400))
        #expect(watch.isOver(at: at(500)))
    }
}
