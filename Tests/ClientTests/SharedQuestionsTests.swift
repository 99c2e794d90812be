import Testing

@testable import Client

@Suite struct SharedQuestionsTests {
    private actor Asker {
        private let questions = SharedQuestions<Int>()

        func ask(
            until deadline: ContinuousClock.Instant, _ question: @escaping @Sendable () async throws(ClientError) -> Int
        ) async throws(ClientError) -> Int {
            try await questions.ask("t", until: deadline, question)
        }
    }

    @Test("who has less time than the one who asked does not wait for the end of the question", .timeLimit(.minutes(1)))
    func lessTime() async throws {
        let asker = Asker()
        let (begun, begin) = AsyncStream.makeStream(of: Void.self)
        let (gate, open) = AsyncStream.makeStream(of: Int.self)
        async let first = asker.ask(until: .now + .seconds(60)) { () async throws(ClientError) in
            begin.finish()
            for await answer in gate { return answer }
            throw .unreachable("closed")
        }
        for await _ in begun {}
        await #expect(throws: ClientError.unreachable("there was no answer about t in time")) {
            try await asker.ask(until: .now + .milliseconds(20)) { () async throws(ClientError) in 2 }
        }
        open.yield(1)
        #expect(try await first == 1)
    }

    @Test("who has more time asks again when the question ended for want of time", .timeLimit(.minutes(1)))
    func moreTime() async throws {
        let asker = Asker()
        let (begun, begin) = AsyncStream.makeStream(of: Void.self)
        let deadline = ContinuousClock.now + .milliseconds(100)
        let first = Task {
            try await asker.ask(until: deadline) { () async throws(ClientError) in
                begin.finish()
                try? await Task.sleep(until: deadline, clock: .continuous)
                throw .unreachable("silence")
            }
        }
        for await _ in begun {}
        #expect(try await asker.ask(until: deadline + .seconds(60)) { () async throws(ClientError) in 2 } == 2)
        await #expect(throws: ClientError.unreachable("silence")) { _ = try await first.value }
    }
}
