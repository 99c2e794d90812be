import HTTPTypes
import Hummingbird

/// Answers what the plain ports do not offer: another method than GET with 405, another path with 404, each saying what there is.
struct OfferedPaths: RouterMiddleware {
    typealias Context = BasicRequestContext

    let paths: [String]

    func handle(
        _ request: Request, context: Context, next: @concurrent (Request, Context) async throws -> Response
    ) async throws -> Response {
        guard paths.contains(request.uri.path) else {
            return StatusAnswers.problem(
                .notFound, code: "NOT_FOUND", detail: "no such resource",
                hint: "there are \(paths.joined(separator: ", "))", field: "path")
        }
        guard request.method == .get else {
            var response = StatusAnswers.problem(
                .methodNotAllowed, code: "METHOD_NOT_ALLOWED",
                detail: "\(request.uri.path) does not take \(request.method.rawValue)", hint: "use GET")
            response.headers[.allow] = "GET"
            return response
        }
        return try await next(request, context)
    }
}
