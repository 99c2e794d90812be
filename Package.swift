// swift-tools-version:6.2
import PackageDescription

// `CORES_ONLY=1` leaves out every shell and what only shells need, so that the pure cores build and test in seconds.
let coresOnly = Context.environment["CORES_ONLY"] == "1"

let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]

// MARK: - Cores: values stepped with inputs; they import Swift, its collections and each other, and nothing else.

/// Maps of which many versions share what they have in common.
let hashTrees: Target.Dependency = .product(name: "HashTreeCollections", package: "swift-collections")
let heap: Target.Dependency = .product(name: "HeapModule", package: "swift-collections")

func core(
    _ name: String, in side: String, uses dependencies: [String] = [], and products: [Target.Dependency] = []
) -> Target {
    .target(
        name: name, dependencies: dependencies.map { .byName(name: $0) } + products, path: "\(side)/\(name)",
        swiftSettings: settings)
}

func coreTests(_ name: String, uses extra: [String] = []) -> Target {
    .testTarget(
        name: "\(name)Tests", dependencies: ([name] + extra).map { .byName(name: $0) }, path: "Tests/\(name)Tests",
        swiftSettings: settings)
}

/// What tests of several modules share; as pure as the cores, so that a simulation is the same in every process. (TraceKit alone
/// reads and writes files.)
func kit(_ name: String, uses dependencies: [String] = [], and products: [Target.Dependency] = []) -> Target {
    .target(
        name: name, dependencies: dependencies.map { .byName(name: $0) } + products, path: "Tests/Kits/\(name)",
        swiftSettings: settings)
}

var targets: [Target] = [
    core("Model", in: "Shared", and: [hashTrees]),
    core("Membership", in: "Shared", uses: ["Model"], and: [heap]),
    core("RoutingTable", in: "Shared", uses: ["Model"]),
    core("Access", in: "Shared", uses: ["Model"]),
    core("KeyEncoding", in: "Shared", uses: ["Model"]),
    core("DurableLog", in: "Shared", uses: ["Model"]),
    core("Replication", in: "Agent", uses: ["Model"]),
    core("Movement", in: "Agent", uses: ["Model"]),
    core(
        "AgentCore", in: "Agent",
        uses: ["Access", "DurableLog", "Membership", "Model", "Movement", "Replication", "RoutingTable"]),
    core("Consensus", in: "Coordinator", uses: ["Model"]),
    core("Catalog", in: "Coordinator", uses: ["Model"]),
    core("Planning", in: "Coordinator", uses: ["Catalog", "Model"]),
    core("CoordinatorCore", in: "Coordinator", uses: ["Catalog", "Consensus", "Membership", "Model", "Planning"]),
    coreTests("Model"),
    coreTests("Membership", uses: ["MembershipSimulation", "Model", "RunnerKit", "SimulationKit", "simulate-members"]),
    coreTests("RoutingTable", uses: ["Model"]),
    coreTests("Access", uses: ["Model"]),
    coreTests("KeyEncoding", uses: ["Model"]),
    coreTests("DurableLog", uses: ["Model"]),
    coreTests("Replication", uses: ["Model", "ReplicationSimulation"]),
    coreTests("Movement", uses: ["Model"]),
    coreTests("AgentCore", uses: ["Catalog", "DurableLog", "Membership", "Model", "Movement", "Replication", "RoutingTable"]),
    coreTests("Consensus", uses: ["ConsensusKit", "Model"]),
    coreTests("Catalog", uses: ["Model"]),
    coreTests("Planning", uses: ["Catalog", "Model"]),
    coreTests("CoordinatorCore", uses: ["Catalog", "Consensus", "Membership", "Model", "Planning"]),
    kit("ConsensusKit", uses: ["Consensus", "Model"]),
    kit("SimulationKit", uses: ["Model"], and: [heap]),
    kit("RaftSimulation", uses: ["Consensus", "DurableLog", "Model", "SimulationKit"]),
    kit("ReplicationSimulation", uses: ["Model", "Replication", "SimulationKit"]),
    kit(
        "ClusterSimulation",
        uses: [
            "Access", "AgentCore", "Catalog", "Consensus", "CoordinatorCore", "DurableLog", "Membership", "Model", "Movement",
            "Planning", "RaftSimulation", "Replication", "ReplicationSimulation", "SimulationKit",
        ]),
    .executableTarget(
        name: "simulate",
        dependencies: ["ClusterSimulation", "Model", "RaftSimulation", "ReplicationSimulation", "SimulationKit"].map {
            .byName(name: $0)
        }, path: "Tests/Simulate", swiftSettings: settings),
    kit("MembershipSimulation", uses: ["Membership", "Model", "SimulationKit"]),
    .executableTarget(
        name: "simulate-members",
        dependencies: ["Membership", "MembershipSimulation", "Model", "SimulationKit"].map { .byName(name: $0) },
        path: "Tests/SimulateMembers", swiftSettings: settings),
    .testTarget(
        name: "SimulationTests",
        dependencies: [
            "ClusterSimulation", "Consensus", "Model", "RaftSimulation", "RunnerKit", "SimulationKit", "simulate",
        ].map { .byName(name: $0) },
        path: "Tests/SimulationTests", swiftSettings: settings),
    .testTarget(
        name: "LinearizabilityTests", dependencies: ["SimulationKit", "Model"].map { .byName(name: $0) },
        path: "Tests/LinearizabilityTests", swiftSettings: settings),
    kit("RunnerKit"),
    kit("TraceKit"),
    .testTarget(
        name: "ConversationTests", dependencies: ["Consensus", "ConsensusKit", "Model", "TraceKit"].map { .byName(name: $0) },
        path: "Tests/ConversationTests", exclude: ["Conversations"], swiftSettings: settings),
    .testTarget(name: "TidyTests", path: "Tests/TidyTests", swiftSettings: settings),
]

// MARK: - Shells: sockets, files, clocks, databases; and the programs made of them.

let nio: [Target.Dependency] = [
    .product(name: "NIOCore", package: "swift-nio"),
    .product(name: "NIOPosix", package: "swift-nio"),
    .product(name: "NIOSSL", package: "swift-nio-ssl"),
]
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let metrics: Target.Dependency = .product(name: "Metrics", package: "swift-metrics")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let http: [Target.Dependency] = [
    .product(name: "Hummingbird", package: "hummingbird"),
    .product(name: "HummingbirdCore", package: "hummingbird"),
    .product(name: "HummingbirdTLS", package: "hummingbird"),
    .product(name: "HTTPTypes", package: "swift-http-types"),
]
let httpClient: Target.Dependency = .product(name: "AsyncHTTPClient", package: "async-http-client")
let clientHTTP: [Target.Dependency] = [
    httpClient, .product(name: "NIOFoundationCompat", package: "swift-nio"), .product(name: "NIOHTTP1", package: "swift-nio"),
]
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let protobuf: Target.Dependency = .product(name: "SwiftProtobuf", package: "swift-protobuf")

func shell(_ name: String, in side: String, uses modules: [String], and products: [Target.Dependency] = []) -> Target {
    .target(
        name: name, dependencies: modules.map { .byName(name: $0) } + products, path: "\(side)/\(name)",
        exclude: name == "Wire" ? ["Protocols"] : [], swiftSettings: settings)
}

func program(_ name: String, in side: String, uses modules: [String], and products: [Target.Dependency] = []) -> Target {
    .executableTarget(
        name: name, dependencies: modules.map { .byName(name: $0) } + products, path: "\(side)/\(name)",
        swiftSettings: settings)
}

func shellTests(_ name: String, uses extra: [String] = [], and products: [Target.Dependency] = []) -> Target {
    .testTarget(
        name: "\(name)Tests", dependencies: ([name] + extra).map { .byName(name: $0) } + products,
        path: "Tests/\(name)Tests", swiftSettings: settings)
}

var packages: [Package.Dependency] = [
    .package(url: "https://github.com/apple/swift-collections", exact: "1.6.0")
]

if !coresOnly {
    packages += [
        .package(url: "https://github.com/hummingbird-project/hummingbird", exact: "2.28.1", traits: ["FullFoundation"]),
        .package(url: "https://github.com/swift-server/async-http-client", exact: "1.37.0"),
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", exact: "2.37.6"),
        .package(url: "https://github.com/apple/swift-http-types", exact: "1.8.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", exact: "2.13.0"),
        .package(url: "https://github.com/apple/swift-protobuf", exact: "1.39.0", traits: []),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
    ]
    targets += [
        .systemLibrary(name: "CLZ4", path: "Shared/CLZ4", pkgConfig: "liblz4", providers: [.apt(["liblz4-dev"])]),
        .systemLibrary(name: "CMalloc", path: "Shared/CMalloc"),
        .systemLibrary(
            name: "COpenSSL", path: "Shared/COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(
            name: "CSQLite", path: "Shared/CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
        shell("Wire", in: "Shared", uses: ["Model"], and: [protobuf]),
        shell("LogStorage", in: "Shared", uses: ["DurableLog", "Model"]),
        shell("Settings", in: "Shared", uses: ["LogStorage", "Model"], and: [arguments, logging]),
        shell("Compression", in: "Shared", uses: ["CLZ4"]),
        shell("Identity", in: "Shared", uses: ["Access", "COpenSSL", "KeyEncoding", "Model"], and: nio),
        shell(
            "Transport", in: "Shared", uses: ["Identity", "Membership", "Model", "Wire"],
            and: nio + [.product(name: "NIOTLS", package: "swift-nio"), logging, lifecycle]),
        shell(
            "Telemetry", in: "Shared", uses: ["Model"],
            and: http + [
                logging, metrics, lifecycle, .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOHTTP1", package: "swift-nio"),
            ]),
        shell("Client", in: "Shared", uses: ["Access", "Identity", "KeyEncoding", "Model"], and: nio + clientHTTP),
        .target(
            name: "CPageSums", dependencies: ["CSQLite"], path: "Agent/CPageSums", cSettings: [.treatAllWarnings(as: .error)]),
        shell("Engine", in: "Agent", uses: ["CPageSums", "CSQLite", "KeyEncoding", "LogStorage", "Model"]),
        shell(
            "AgentServer", in: "Agent",
            uses: [
                "Access", "AgentCore", "Client", "Compression", "DurableLog", "Engine", "Identity", "KeyEncoding", "LogStorage",
                "Membership", "Model", "Movement", "Replication", "RoutingTable", "Settings", "Telemetry", "Transport", "Wire",
            ],
            and: nio + http + [
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"), httpClient, logging, metrics, lifecycle,
            ]),
        shell(
            "CoordinatorServer", in: "Coordinator",
            uses: [
                "Access", "CMalloc", "Catalog", "Consensus", "CoordinatorCore", "DurableLog", "Identity", "KeyEncoding",
                "LogStorage",
                "Membership", "Model", "Planning", "Settings", "Telemetry", "Transport", "Wire",
            ], and: nio + http + [logging, metrics, lifecycle, protobuf]),
        program(
            "coxswain-agent", in: "Agent", uses: ["AgentServer", "Settings"], and: [arguments]),
        program(
            "coxswain-coordinator", in: "Coordinator", uses: ["CoordinatorServer", "Settings"], and: [arguments]),
        shell("LoadLedger", in: "Coordinator", uses: ["Client", "Model"]),
        shell("Launching", in: "Coordinator", uses: ["Identity", "LogStorage", "Model", "Settings"]),
        program(
            // It reads the logs of both sides, so it knows the records of both.
            "coxctl", in: "Coordinator",
            uses: [
                "Access", "Catalog", "Client", "Consensus", "CoordinatorServer", "DurableLog", "Identity", "KeyEncoding",
                "Launching", "LoadLedger", "LogStorage", "Model", "Replication", "Settings", "Wire",
            ],
            and: nio + [arguments, httpClient]),
        program(
            "Benchmarks", in: "Tests",
            uses: [
                "Access", "AgentServer", "CMalloc", "Client", "Compression", "DurableLog", "Engine", "GossipKit", "Identity",
                "KeyEncoding",
                "Launching", "LogStorage", "Membership", "Model", "RoutingTable", "Settings", "Transport",
            ],
            and: nio + [.product(name: "NIOHTTP1", package: "swift-nio"), arguments, lifecycle, logging]),
        shellTests("Wire", uses: ["Model"]),
        kit("ProcessKit"),
        kit("DiskKit", uses: ["ProcessKit"]),
        kit("GossipKit", uses: ["Identity", "Membership", "Model", "Transport", "Wire"], and: [logging, lifecycle]),
        .executableTarget(
            name: "chaos",
            dependencies: [
                "Client", "DiskKit", "Identity", "KeyEncoding", "Launching", "LoadLedger", "LogStorage", "Model", "ProcessKit",
                "Settings", "SimulationKit",
            ].map { .byName(name: $0) } + [arguments], path: "Tests/Chaos", swiftSettings: settings),
        .testTarget(
            name: "ChaosTests",
            dependencies: ["Client", "Launching", "LoadLedger", "LogStorage", "Model", "ProcessKit", "SimulationKit", "chaos"]
                .map {
                    .byName(name: $0)
                },
            path: "Tests/ChaosTests", swiftSettings: settings),
        shellTests("LogStorage", uses: ["DiskKit", "DurableLog", "Model"]),
        shellTests("Compression"),
        shellTests("Identity", uses: ["Access", "KeyEncoding", "Model"], and: nio),
        shellTests(
            "Transport",
            uses: ["GossipKit", "Identity", "Membership", "MembershipSimulation", "Model", "ProcessKit", "Wire"],
            and: nio + [logging, lifecycle]),
        shellTests(
            "Telemetry", uses: ["Model"],
            and: [
                metrics, logging, lifecycle, .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ]),
        shellTests("Client", uses: ["Access", "Identity", "KeyEncoding", "Model"], and: nio),
        .testTarget(
            name: "CoxctlTests",
            dependencies: [
                "Catalog", "Client", "Consensus", "CoordinatorServer", "DurableLog", "KeyEncoding", "LogStorage", "Model",
                "LoadLedger", "Replication", "Wire", "coxctl",
            ].map { .byName(name: $0) } + [arguments], path: "Tests/CoxctlTests",
            swiftSettings: settings),
        shellTests("Engine", uses: ["CSQLite", "DiskKit", "KeyEncoding", "LogStorage", "Model"]),
        shellTests(
            "AgentServer",
            uses: [
                "Access", "AgentCore", "DiskKit", "Engine", "Identity", "KeyEncoding", "LogStorage", "Membership", "Model",
                "Replication", "RoutingTable",
                "Settings", "Transport",
                "Wire",
            ], and: nio + [logging, lifecycle]),
        shellTests(
            "CoordinatorServer",
            uses: [
                "Access", "Catalog", "Consensus", "CoordinatorCore", "DiskKit", "DurableLog", "Identity", "KeyEncoding",
                "LogStorage",
                "Membership", "Model", "Planning", "Telemetry", "Transport", "Wire",
            ], and: http),
        .testTarget(
            name: "SessionTests",
            dependencies: [
                .byName(name: "AgentServer"), .byName(name: "CoordinatorServer"), .byName(name: "Identity"),
                .byName(name: "Membership"), .byName(name: "Model"), .byName(name: "Transport"), .byName(name: "Wire"), logging,
            ] + nio, path: "Tests/SessionTests", swiftSettings: settings),
        .testTarget(
            name: "EndToEndTests",
            dependencies: [
                .byName(name: "Client"), .byName(name: "DiskKit"), .byName(name: "Engine"), .byName(name: "Identity"),
                .byName(name: "KeyEncoding"), .byName(name: "Model"), .byName(name: "ProcessKit"),
                .byName(name: "SimulationKit"), httpClient,
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .byName(name: "coxswain-agent"), .byName(name: "coxswain-coordinator"), .byName(name: "coxctl"),
            ] + nio, path: "Tests/EndToEndTests", swiftSettings: settings),
    ]
}

let package = Package(
    name: "Coxswain", platforms: [.macOS(.v15)], dependencies: packages, targets: targets, swiftLanguageModes: [.v6])
