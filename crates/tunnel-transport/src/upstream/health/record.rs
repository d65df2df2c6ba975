/// The last checks of one endpoint.
#[derive(Debug)]
pub(super) struct Record {
    healthy_after: u32,
    unhealthy_after: u32,
    /// None before the first check.
    is_healthy: Option<bool>,
    /// How many in a row have said something else.
    against: u32,
}

impl Record {
    pub(super) const fn new(healthy_after: u32, unhealthy_after: u32) -> Self {
        Self {
            healthy_after,
            unhealthy_after,
            is_healthy: None,
            against: 0,
        }
    }

    /// Takes note of a check; gives what the endpoint is from now on, if that was not known before.
    pub(super) fn note(&mut self, is_well: bool) -> Option<bool> {
        let needed = match self.is_healthy {
            None => 0,
            Some(healthy) if healthy == is_well => {
                self.against = 0;
                return None;
            }
            Some(true) => self.unhealthy_after,
            Some(false) => self.healthy_after,
        };
        self.against += 1;
        (self.against >= needed).then(|| self.set(is_well))
    }

    /// Takes the endpoint's own word for it.
    pub(super) fn set(&mut self, is_well: bool) -> bool {
        self.is_healthy = Some(is_well);
        self.against = 0;
        is_well
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_check_counts_and_then_it_takes_several() {
        let mut record = Record::new(2, 3);
        let checks = [
            (false, Some(false)),
            (true, None),
            (false, None),
            (true, None),
            (true, Some(true)),
            (false, None),
            (false, None),
            (true, None),
            (false, None),
            (false, None),
            (false, Some(false)),
            (false, None),
        ];
        for (index, (is_well, expected)) in checks.into_iter().enumerate() {
            assert_eq!(record.note(is_well), expected, "{index}");
        }
    }
}
