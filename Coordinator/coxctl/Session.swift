// What every command shares: which cluster, as whom, how long, in what form.

import ArgumentParser
import Client
import FoundationEssentials
import Glibc

enum OutputForm: String, ExpressibleByArgument, CaseIterable { case table, json }

struct GlobalOptions: ParsableArguments {
    @Option(help: "The context file that `cluster init` wrote. [env: COXSWAIN_CONTEXT]")
    var context: String?

    @Option(help: "Coordinators to ask, instead of the context's: https://host:port,…  [env: COXSWAIN_ENDPOINTS]")
    var endpoints: String?

    @Option(
        help: """
            A file with an operator token, to act by it and not by the context's certificate. \
            [env: COXSWAIN_OPERATOR_TOKEN_FILE]
            """)
    var operatorTokenFile: String?

    @Option(
        help: """
            Where to learn routes from without coordinators: gateways as host:port, status endpoints of agents on this machine as \
            http://127.0.0.1:7471,…  [env: COXSWAIN_GATEWAYS]
            """)
    var gateways: String?

    @Option(help: "Seconds to wait for an answer.")
    var timeout: Int = 30

    @Option(name: .shortAndLong, help: "The form of the output: table or json.")
    var output: OutputForm = .table

    @Flag(name: .shortAndLong, help: "Do not ask before something is destroyed.")
    var yes = false

    @Option(help: "Why, for the audit.")
    var reason: String?

    func validate() throws { try Seconds.check(timeout, "--timeout") }

    /// Where the cluster's context file is.
    func contextPath() throws -> String {
        guard let path = context ?? getenv("COXSWAIN_CONTEXT").map({ String(cString: $0) }) else {
            throw CommandFailure(
                status: .usage, message: "no context: give --context, or set COXSWAIN_CONTEXT to a cluster's context.json")
        }
        return path
    }

    func session() throws -> Session {
        let environment = { (name: String) in getenv(name).map { String(cString: $0) } }
        let path = try contextPath()
        var cluster = try ClusterContext(
            path: path, tokenFile: operatorTokenFile ?? environment("COXSWAIN_OPERATOR_TOKEN_FILE"))
        if let list = endpoints ?? environment("COXSWAIN_ENDPOINTS") {
            cluster.endpoints = list.split(separator: ",").map { $0.contains("://") ? String($0) : "https://" + $0 }
        }
        let seeds = (gateways ?? environment("COXSWAIN_GATEWAYS") ?? "").split(separator: ",").map(String.init)
        return Session(context: cluster, options: self, gateways: seeds)
    }
}

/// How long a command may be told to wait: never for ever.
enum Seconds {
    private static let allowed = 1...86_400

    static func check(_ seconds: Int, _ option: String) throws {
        guard allowed.contains(seconds) else {
            throw ValidationError("\(option) is \(allowed.lowerBound) to \(allowed.upperBound) seconds")
        }
    }
}

/// One command's connection to a cluster.
struct Session {
    let context: ClusterContext
    let options: GlobalOptions
    let calls: HTTPCalls
    let control: ControlClient
    private let gateways: [String]

    init(context: ClusterContext, options: GlobalOptions, gateways: [String]) {
        self.context = context
        self.options = options
        self.gateways = gateways
        calls = HTTPCalls(tls: context.tls)
        control = ControlClient(endpoints: context.endpoints, calls: calls, token: context.token)
    }

    func rows(settings: CoxswainClient.Settings = CoxswainClient.Settings(), token: String? = nil) -> CoxswainClient {
        CoxswainClient(
            calls: calls, control: control, clusterID: context.clusterID, principal: context.principal, settings: settings,
            fixedToken: token, gateways: gateways)
    }

    func ask(
        _ method: HTTPCalls.Method, _ path: String, body: JSONValue? = nil, headers: [(String, String)] = []
    ) async throws -> ControlClient.Answer {
        var fields = headers
        if let reason = options.reason { fields.append(("x-reason", reason)) }
        return try await control.call(
            method, path, body: body, headers: fields, milliseconds: Int64(max(1, options.timeout)) * 1_000)
    }

    /// Prints an answer: as it is, or as a table of the columns given.
    func show(_ value: JSONValue, _ columns: [TextTable.Column]) {
        switch options.output {
        case .json: print(value.prettyText)
        case .table: print(TextTable(columns: columns, rows: value.elements).text)
        }
    }

    /// - Parameter name: what has to be typed where data is lost; nil: a yes.
    func confirm(_ question: String, typing name: String? = nil) throws {
        if options.yes { return }
        guard isatty(0) == 1 else {
            throw CommandFailure(status: .usage, message: "\(question)\nnot asked, because this is no terminal: give --yes")
        }
        say(name.map { "\(question)\nType \($0) to go on:" } ?? "\(question) [y/N]")
        let answer = readLine() ?? ""
        guard name.map({ $0 == answer }) ?? ["y", "yes"].contains(answer.lowercased()) else {
            throw CommandFailure(status: .failure, message: "nothing was changed")
        }
    }
}

/// A command that talks to a cluster. Translates every failure to a message and an exit code, in one place.
protocol ClusterCommand: AsyncParsableCommand {
    var global: GlobalOptions { get }
    func act(_ session: Session) async throws
}

extension ClusterCommand {
    func run() async throws {
        do {
            let session = try global.session()
            let result = await Self.outcome { try await self.act(session) }
            try? await session.calls.shutDown()
            try result.get()
        } catch let failure as CommandFailure {
            if !failure.message.isEmpty { say(failure.message) }
            throw ExitCode(failure.status.rawValue)
        } catch let error as ClientError {
            say("error: \(error)")
            throw ExitCode(ExitStatus(error).rawValue)
        }
    }

    private static func outcome(_ body: () async throws -> Void) async -> Result<Void, any Error> {
        do { return .success(try await body()) } catch { return .failure(error) }
    }
}

extension JSONValue {
    /// The rows of a list, whether it stands alone or in an object under one name.
    var elements: [JSONValue] {
        if let array { return array }
        if let object {
            let lists = object.values.compactMap(\.array)
            if lists.count == 1, object["id"] == nil, object["table_name"] == nil { return lists[0] }
        }
        return [self]
    }
}
