// Why a request to the cluster came to nothing, or to nobody knows what.

package struct Problem: Error, Hashable, Sendable, CustomStringConvertible {
    /// The HTTP status.
    package let status: Int
    /// Stable, for programs.
    package let code: String
    package let detail: String
    package let hint: String
    package let field: String?
    package let isRetryable: Bool
    package let retryAfterMilliseconds: Int64?
    /// A refusal's view of who holds the rows.
    package let partition: JSONValue?

    /// - Parameter body: a problem document, or whatever else came with the status.
    package init(status: Int, body: JSONValue?) {
        self.status = status
        code = body?["code"]?.string ?? "HTTP_\(status)"
        detail = body?["detail"]?.string ?? body?["title"]?.string ?? "the answer has no explanation"
        hint = body?["hint"]?.string ?? ""
        field = body?["field"]?.string
        isRetryable = body?["retryable"]?.isTrue ?? (status == 503 || status == 429)
        retryAfterMilliseconds = body?["retry_after_ms"]?.unsigned.flatMap(Int64.init(exactly:))
        partition = body?["partition"]
    }

    package var description: String {
        "\(code): \(detail)" + (field.map { " (at \($0))" } ?? "") + (hint.isEmpty ? "" : "\n  hint: \(hint)")
    }
}

package enum ClientError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Refused; nothing changed.
    case refused(Problem)
    /// Nobody could be asked within the time; nothing was sent that might have had an effect.
    case unreachable(String)
    /// The write was sent, and in all the time allowed nobody said what became of it: it may have happened or not, or may happen yet.
    case outcomeUnknown(String)
    /// The answer is not what this program understands.
    case unexpectedAnswer(String)
    /// The request was wrong before it was sent.
    case invalid(String)

    package var description: String {
        switch self {
        case .refused(let problem): problem.description
        case .unreachable(let why): "nobody answers: \(why)"
        case .outcomeUnknown(let why): "outcome unknown: \(why)"
        case .unexpectedAnswer(let why): "unexpected answer: \(why)"
        case .invalid(let why): why
        }
    }
}
