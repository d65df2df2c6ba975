use tunnel_core::GroupName;

use super::*;

mod grpc;
mod hosts;
mod matching;
mod protocol;
mod registered;
mod replaced;
mod service;

fn group() -> GroupName {
    "g".parse().unwrap()
}

fn rule(id: &str) -> Rule {
    Rule::group(id, group())
}

fn rules(list: impl IntoIterator<Item = Rule>) -> Rules {
    Rules::compile(list).unwrap()
}
