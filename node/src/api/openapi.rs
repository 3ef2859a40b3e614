//! The contract (OpenAPI 3.1), generated from the routes themselves and served with them.
//!
//! What no single route says is added here: the problem every route may answer with, and who may
//! ask. The committed snapshot beside the tests shows each change of the contract in review.

use utoipa::{
    OpenApi,
    openapi::{Content, Ref, Response, path::Operation, path::PathItem},
};

use super::problem::{PROBLEM_JSON, ProblemView};

/// What the contract says before any route.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Comity local API",
        description = "The local interface of a Comity node: an office's and its systems' way to act and look. \
                       It is served on a Unix socket in the node's data folder. The socket's file permission (0600) \
                       is the only gate: whoever can open it acts for this Party. Ids are lower-case hexadecimal, \
                       times RFC 3339 in UTC with milliseconds. Repeating an act with its command id has one effect."
    ),
    components(schemas(ProblemView)),
    tags(
        (name = "node", description = "How the node is, and whom it knows."),
        (name = "requests", description = "Requests and the steps taken in them."),
        (name = "retention", description = "How long requests are kept, what holds them, and letting them go."),
        (name = "officers", description = "Who may approve what leaves, what waits for them, and what they say."),
        (name = "drafts", description = "Requests not yet signed; only this office sees them."),
        (name = "evidence", description = "What is under seal, handed over, fetched, verified, read."),
        (name = "feed", description = "What happens, in order, at least once."),
        (name = "law", description = "Procedures and their forms."),
        (name = "ledger", description = "The signed record and its proofs."),
        (name = "audit", description = "Who was shown what and did what at this node."),
    )
)]
pub(super) struct Contract;

/// Gives every operation an id of its own, and the problem it may answer with.
pub(super) fn complete(mut contract: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    // What the router calls the rest of a path is one parameter here.
    let plain = |path: String| path.replace("{*", "{");
    let paths = std::mem::take(&mut contract.paths.paths);
    contract.paths.paths = paths.into_iter().map(|(path, item)| (plain(path), item)).collect();
    for path in contract.paths.paths.values_mut() {
        operations(path).for_each(|operation| {
            add_problem(operation);
            name(operation);
        });
    }
    contract
}

fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut path.get, &mut path.put, &mut path.post, &mut path.delete].into_iter().flatten()
}

/// `requests.list` and `drafts.list`: routes of two resources may be called alike, operations may not.
fn name(operation: &mut Operation) {
    let resource = operation.tags.iter().flatten().next().cloned().unwrap_or_default();
    let route = operation.operation_id.take().unwrap_or_default();
    operation.operation_id = Some(format!("{resource}.{route}"));
}

fn add_problem(operation: &mut Operation) {
    let mut problem = Response::new("A problem: code, reason, and what to do.");
    let schema = Ref::from_schema_name("Problem");
    problem.content.insert(PROBLEM_JSON.to_owned(), Content::new(Some(schema)).into());
    operation.responses.responses.insert("default".to_owned(), problem.into());
}
