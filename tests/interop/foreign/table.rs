//! How the cases went.

use std::collections::BTreeMap;

use crate::{cases::CASES, world::Place};

/// By the case's name; what went wrong, if it failed.
pub(super) type Results = BTreeMap<String, Result<(), String>>;

/// Cases down, client and server across.
#[derive(Default)]
pub(super) struct Table(Vec<(String, Results)>);

impl Table {
    pub(super) fn add(&mut self, client: &str, server: &str, place: Place, results: Results) {
        assert!(results.len() >= CASES.len(), "{client} > {server}: {results:?}");
        let way = match place {
            Place::Direct => "direct",
            Place::Agent => "in the agent",
            Place::Upstream => "tunnel",
        };
        self.0.push((format!("{client} > {server}, {way}"), results));
    }

    pub(super) fn print(&self) {
        let names: Vec<_> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        println!("| case | {} |", names.join(" | "));
        println!("| --- |{}", " --- |".repeat(names.len()));
        let longest = self
            .0
            .iter()
            .map(|(_, results)| results)
            .max_by_key(|results| results.len());
        for case in longest.into_iter().flat_map(|results| results.keys()) {
            let row = self.0.iter().map(|(_, results)| match results.get(case) {
                Some(Ok(())) => "ok",
                Some(Err(_)) => "FAILED",
                None => "-",
            });
            println!("| {case} | {} |", row.collect::<Vec<_>>().join(" | "));
        }
    }

    pub(super) fn assert_ok(&self) {
        let failed: Vec<_> = self
            .0
            .iter()
            .flat_map(|(name, results)| results.iter().map(move |(case, result)| (name, case, result)))
            .filter(|(_, _, result)| result.is_err())
            .collect();
        assert!(failed.is_empty(), "{failed:#?}");
    }
}
