//! An unknown distribution: missing tools are named, but not installed.

use super::distro::{HostDistro, Repository, Tool};
use crate::provision::cache::Cache;

/// Any other distribution.
#[derive(Debug)]
pub(crate) struct Unknown {
    name: String,
}

impl Unknown {
    /// `name` is for messages.
    pub(crate) fn new(name: String) -> Self {
        Self { name }
    }
}

impl HostDistro for Unknown {
    fn name(&self) -> &str {
        &self.name
    }

    fn package(&self, _: &Tool) -> Option<String> {
        None
    }

    fn install(&self, _: &[String]) -> Option<Vec<String>> {
        None
    }

    fn refresh(&self) -> Option<Vec<String>> {
        None
    }

    fn has_lists(&self) -> bool {
        true
    }

    fn headers_package(&self, _: &str) -> Option<String> {
        None
    }

    fn busybox_package(&self) -> &'static str {
        "busybox"
    }

    fn repository_tools(&self) -> Vec<Tool> {
        Vec::new()
    }

    fn repository<'a>(&'a self, _: &'a Cache) -> Option<Box<dyn Repository + 'a>> {
        None
    }
}
