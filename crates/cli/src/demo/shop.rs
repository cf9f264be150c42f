//! What the shop sells, and the orders that the demo hands in.

use std::time::Duration;

use serde_json::json;
use unanim::{Branch, Submission};

/// Stock at first: enough for the single orders and for eighty of the hundred.
pub(super) const WIDGETS: i64 = 166;
/// What Alice has at first.
pub(super) const FUNDS: i64 = 10_000;
/// Widgets in one order.
pub(super) const PER_ORDER: i64 = 2;
/// What one order costs.
pub(super) const PRICE: i64 = 50;

/// The three services, in the order in which all lists of them are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Order,
    Stock,
    Payment,
}

impl Role {
    pub(super) const ALL: [Self; 3] = [Self::Order, Self::Stock, Self::Payment];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Stock => "stock",
            Self::Payment => "payment",
        }
    }

    /// The account that it keeps.
    pub(super) fn account(self) -> &'static str {
        match self {
            Self::Order => "orders",
            Self::Stock => "widgets",
            Self::Payment => "alice",
        }
    }

    /// What is in it at first.
    pub(super) fn first(self) -> i64 {
        match self {
            Self::Order => 0,
            Self::Stock => WIDGETS,
            Self::Payment => FUNDS,
        }
    }

    /// What one committed order adds to it.
    pub(super) fn change(self) -> i64 {
        match self {
            Self::Order => 1,
            Self::Stock => -PER_ORDER,
            Self::Payment => -PRICE,
        }
    }
}

/// One order, at this price, of services that listen on these ports.
pub(super) fn order(gid: &str, price: i64, ports: [u16; 3]) -> Submission {
    let order = Submission::with_gid(gid).retry(Duration::from_millis(50), Duration::from_millis(500));
    Role::ALL.into_iter().zip(ports).fold(order, |order, (role, port)| {
        let amount = if role == Role::Payment { -price } else { role.change() };
        let branch = Branch::new(role.name(), format!("http://127.0.0.1:{port}/tx"));
        order.branch(branch.payload(json!({"account": role.account(), "amount": amount})))
    })
}
