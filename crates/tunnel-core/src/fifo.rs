//! A queue that seldom has more than one element.

use std::collections::VecDeque;

/// First in, first out. The first element stands here, and only what is behind it in memory of its own.
#[derive(Debug)]
pub(crate) struct Fifo<T> {
    /// `None` only when `rest` is empty.
    first: Option<T>,
    rest: VecDeque<T>,
}

impl<T> Default for Fifo<T> {
    fn default() -> Self {
        Self {
            first: None,
            rest: VecDeque::new(),
        }
    }
}

impl<T> Fifo<T> {
    pub(crate) fn push(&mut self, element: T) {
        if self.first.is_none() {
            self.first = Some(element);
        } else {
            self.rest.push_back(element);
        }
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        let first = self.first.take();
        self.first = self.rest.pop_front();
        first
    }

    pub(crate) fn first(&self) -> Option<&T> {
        self.first.as_ref()
    }

    pub(crate) fn last_mut(&mut self) -> Option<&mut T> {
        self.rest.back_mut().or(self.first.as_mut())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(crate) fn clear(&mut self) {
        self.first = None;
        self.rest.clear();
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().chain(&self.rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_first_goes_first() {
        let mut fifo = Fifo::default();
        assert!(fifo.is_empty() && fifo.pop().is_none() && fifo.last_mut().is_none());
        for round in 0..3 {
            for number in 0..=round {
                fifo.push(number);
                assert_eq!(fifo.first(), Some(&0));
                assert_eq!(fifo.last_mut().copied(), Some(number));
            }
            assert!(fifo.iter().copied().eq(0..=round));
            for number in 0..=round {
                assert_eq!(fifo.pop(), Some(number));
            }
            assert!(fifo.is_empty());
        }
        fifo.push(1);
        fifo.push(2);
        fifo.clear();
        assert_eq!((fifo.is_empty(), fifo.pop()), (true, None));
    }
}
