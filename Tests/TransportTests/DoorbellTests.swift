import Testing
import Transport

@Suite(.timeLimit(.minutes(1))) struct DoorbellTests {
    @Test("a ring before the wait is remembered, once")
    func remembers() async {
        let bell = Doorbell()
        bell.ring()
        bell.ring()
        await bell.wait()
        #expect(await !bell.wait(atMost: .milliseconds(1)))
    }

    @Test("who waits is woken by the ring, and told that it was one")
    func wakes() async {
        let bell = Doorbell()
        async let isRung = bell.wait(atMost: .seconds(50))
        bell.ring()
        #expect(await isRung)
    }

    @Test("a wait that its task's end cut short was no ring, and the bell can be waited for again")
    func ends() async {
        let bell = Doorbell()
        let waiter = Task { await bell.wait(atMost: .seconds(50)) }
        waiter.cancel()
        #expect(await !waiter.value)
        bell.ring()
        await bell.wait()
    }
}
