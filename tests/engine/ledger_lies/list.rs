//! What real MySQL servers are told to do, and what gives it away. Read by the test that tells them
//! (tests/engine) and by the table of all lies (tests/hermetic).

/// A lie of a server that runs.
#[derive(PartialEq, Eq)]
pub struct ServerLie {
    /// Its name in the table.
    pub name: &'static str,
    /// What is done: in the server's own words, but for `RENAMED`.
    pub told: &'static str,
    /// Parts of the lines that must fail: each names what happened.
    pub betrayed_by: &'static [&'static str],
}

/// Acknowledges rows and keeps none of them.
pub const FORGETS: ServerLie = ServerLie {
    name: "acknowledged rows are not kept (BLACKHOLE)",
    told: "ALTER TABLE qa.ledger ENGINE=BLACKHOLE",
    betrayed_by: &["acknowledged rows are there, lost 1, 2, 3, 4, 5 and", "no crash explains that "],
};

/// Refuses rows and keeps them: without transactions, what a trigger refuses afterwards stays.
pub const KEEPS_REFUSED: ServerLie = ServerLie {
    name: "refused rows are kept (MyISAM, and a trigger that refuses)",
    told: "ALTER TABLE qa.ledger ENGINE=MyISAM; CREATE TRIGGER qa.lie AFTER INSERT ON qa.ledger FOR EACH ROW \
           SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'",
    betrayed_by: &["rows are there though they were refused: "],
};

/// Keeps something else than it acknowledged.
pub const ALTERS: ServerLie = ServerLie {
    name: "rows are kept with another payload",
    told: "CREATE TRIGGER qa.lie BEFORE INSERT ON qa.ledger FOR EACH ROW SET NEW.payload = REVERSE(NEW.payload)",
    betrayed_by: &["rows are there with another checksum: "],
};

/// Keeps rows under numbers that nobody wrote.
pub const RENUMBERS: ServerLie = ServerLie {
    name: "rows are kept under numbers that nobody wrote",
    told: "CREATE TRIGGER qa.lie BEFORE INSERT ON qa.ledger FOR EACH ROW SET NEW.number = NEW.number + 1000000",
    betrayed_by: &[
        "acknowledged rows are there, lost ",
        "no crash explains that ",
        "rows are there that nobody wrote: 10000",
    ],
};

/// Keeps a row twice: what it acknowledged, and again by an event of its own.
pub const DOUBLES: ServerLie = ServerLie {
    name: "a row is kept twice (an event of the server)",
    told: "CREATE EVENT qa.lie ON SCHEDULE EVERY 1 SECOND DO INSERT INTO qa.ledger (writer, number, payload, \
           checksum) SELECT writer, number, payload, checksum FROM qa.ledger ORDER BY id LIMIT 1",
    betrayed_by: &["1 rows are there twice: 1"],
};

/// Keeps the rows, but is another server from now on.
pub const RENAMED: ServerLie = ServerLie {
    name: "the server that reads is another one, on the same files",
    told: "auto.cnf is removed, and the server started anew",
    betrayed_by: &["rows are there that another server acknowledged, "],
};
