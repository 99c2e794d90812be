// One question at a time about each subject, whoever asks. A question ends in time for the one who asked it; those who came while it was
// under way have more time left than he, or less: who has less does not wait for its end, and who has more asks again when it ended for
// want of time.
// Refused: a question that outlasts whoever asked. Nobody would wait for its end, and it would have to have a limit of its own.

/// Of one actor: it runs where it is called, and takes no part in any race.
final class SharedQuestions<Value: Sendable> {
    typealias Instant = ContinuousClock.Instant
    private typealias Answer = Result<Value, ClientError>

    private struct Question {
        let deadline: Instant
        var waiting: [AsyncStream<Answer>.Continuation] = []
    }

    private var underWay: [String: Question] = [:]

    /// - Parameters:
    ///   - deadline: how long the caller waits. `question` keeps to it by itself.
    ///   - question: asked if nobody asks about `subject` already.
    /// - Throws: what the question came to, or `unreachable` when there was no answer in time.
    func ask(
        _ subject: String, until deadline: Instant, _ question: @escaping @Sendable () async throws(ClientError) -> Value
    ) async throws(ClientError) -> Value {
        while let known = underWay[subject] {
            let answer = await wait(for: subject, until: deadline)
            guard let answer else { throw .unreachable("there was no answer about \(subject) in time") }
            if case .failure(.unreachable) = answer, known.deadline < deadline, known.deadline <= .now { continue }
            return try answer.get()
        }
        underWay[subject] = Question(deadline: deadline)
        // Who asks may be cancelled; the others want the answer all the same.
        let answer = await Task { () async -> Answer in
            do throws(ClientError) { return .success(try await question()) } catch { return .failure(error) }
        }.value
        for one in underWay.removeValue(forKey: subject)?.waiting ?? [] {
            one.yield(answer)
            one.finish()
        }
        return try answer.get()
    }

    private func wait(for subject: String, until deadline: Instant) async -> Answer? {
        let (answers, continuation) = AsyncStream.makeStream(of: Answer.self)
        underWay[subject]?.waiting.append(continuation)
        return await withTaskGroup(of: Answer?.self) { group in
            group.addTask {
                for await answer in answers { return answer }
                return nil
            }
            group.addTask {
                try? await Task.sleep(until: deadline, clock: .continuous)
                return nil
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
    }
}
