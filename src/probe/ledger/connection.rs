//! One connection to a MySQL server: every call has a timeout, every error a class.

use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Statement};

use super::{LedgerSpec, checksum};
use crate::deadline::Deadline;
use crate::event::{Outcome, Row, Seen, Server};
use crate::probe::Route;

/// Why the ledger got no answer, or an error as the answer.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The connection failed: nothing was sent.
    #[error("failed to connect to MySQL at {address}")]
    Connect {
        /// The address.
        address: String,
        /// The client's error.
        #[source]
        source: mysql_async::Error,
    },
    /// The server answered with an error, or the connection broke.
    #[error("MySQL failed to {doing}")]
    Call {
        /// The failed operation, such as `read the ledger`.
        doing: String,
        /// The client's error.
        #[source]
        source: mysql_async::Error,
    },
    /// The server, or a proxy before it, keeps `autocommit` at 0: OK to an insert would not mean a commit.
    #[error("MySQL at {address} does not take `SET SESSION autocommit = 1`")]
    NoAutocommit {
        /// The address.
        address: String,
    },
    /// The server did not answer in time.
    #[error("MySQL did not answer in {:.1} s: {doing}", .waited.as_secs_f64())]
    Silent {
        /// The failed operation.
        doing: String,
        /// Timeout that passed.
        waited: Duration,
    },
    /// No server kept answering within the deadline.
    #[error("no MySQL server answered for good within {:.1} s: {last}", .waited.as_secs_f64())]
    NotReady {
        /// Duration of the wait.
        waited: Duration,
        /// The last reason.
        last: String,
    },
}

impl LedgerError {
    /// Whether the server itself answered with this error.
    pub fn is_answer(&self) -> bool {
        use mysql_async::Error::Server;
        matches!(self, Self::Connect { source: Server(_), .. } | Self::Call { source: Server(_), .. })
    }
}

/// Errors with which mysqld answers before it writes, or after it has rolled the statement back: the row does not
/// exist. Every other code leaves the outcome open. A proxy or router on the way has answers of its own (1105, 2006,
/// 2013, 9001), the server may be stopped while it commits (1053, 1180, 1317), and some codes come after the engine has
/// committed (1598). Source: MySQL's server error reference; for 1047, Galera's "WSREP has not yet prepared node".
const REFUSES: &[u16] = &[
    // Missing privileges: ER_DBACCESS_DENIED_ERROR, ER_ACCESS_DENIED_ERROR, ER_TABLEACCESS_DENIED_ERROR,
    // ER_COLUMNACCESS_DENIED_ERROR, ER_SPECIFIC_ACCESS_DENIED_ERROR.
    1044, 1045, 1142, 1143, 1227,
    // Connection refused: ER_CON_COUNT_ERROR, ER_HOST_IS_BLOCKED, ER_HOST_NOT_PRIVILEGED,
    // ER_TOO_MANY_USER_CONNECTIONS, ER_USER_LIMIT_REACHED.
    1040, 1129, 1130, 1203, 1226, // ER_UNKNOWN_COM_ERROR.
    1047,
    // Missing object: ER_NO_DB_ERROR, ER_BAD_DB_ERROR, ER_BAD_FIELD_ERROR, ER_NO_SUCH_TABLE,
    // ER_UNKNOWN_STMT_HANDLER.
    1046, 1049, 1054, 1146, 1243,
    // Invalid statement or values: ER_BAD_NULL_ERROR, ER_DUP_ENTRY, ER_PARSE_ERROR,
    // ER_WRONG_VALUE_COUNT_ON_ROW, ER_WRONG_ARGUMENTS, ER_WARN_DATA_OUT_OF_RANGE, ER_NO_DEFAULT_FOR_FIELD,
    // ER_TRUNCATED_WRONG_VALUE_FOR_FIELD, ER_DATA_TOO_LONG, ER_NO_REFERENCED_ROW_2,
    // ER_CHECK_CONSTRAINT_VIOLATED.
    1048, 1062, 1064, 1136, 1210, 1264, 1364, 1366, 1406, 1452, 3819,
    // The server takes no writes: ER_OPEN_AS_READONLY, ER_TABLE_NOT_LOCKED_FOR_WRITE,
    // ER_CANT_UPDATE_WITH_READLOCK, ER_OPTION_PREVENTS_STATEMENT, ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION,
    // ER_READ_ONLY_MODE.
    1036, 1099, 1223, 1290, 1792, 1836,
    // Rolled back: ER_RECORD_FILE_FULL, ER_LOCK_WAIT_TIMEOUT, ER_LOCK_DEADLOCK, ER_SIGNAL_EXCEPTION of a
    // trigger.
    1114, 1205, 1213, 1644,
];

/// ER_BAD_DB_ERROR and ER_NO_SUCH_TABLE.
const ABSENT: [u16; 2] = [1049, 1146];

/// Number of rows that a continuous reader looks at, counted back from the newest: the cost of a look does not grow
/// with the table.
const WINDOW: u32 = 10_000;

pub(super) struct Connection {
    conn: Conn,
    server: Server,
    version: String,
    insert: Option<Statement>,
    patience: Duration,
    deadline: Deadline,
    /// Time of the server's last answer.
    answered: Instant,
}

impl Connection {
    /// Connects and asks for the server's identity.
    pub(super) async fn open(
        spec: &LedgerSpec,
        route: &Route,
        deadline: Deadline,
    ) -> Result<Self, LedgerError> {
        let address = route.address();
        let options = OptsBuilder::default()
            .ip_or_hostname(address.ip().to_string())
            .tcp_port(address.port())
            .user(Some(spec.user.as_str()))
            .pass(Some(spec.password.as_str()))
            // By default the client switches to the socket's path if a server of this machine has that path.
            .prefer_socket(false);
        let doing = format!("connect to {address}");
        let bound = deadline.at_most(spec.patience);
        let conn = match bound.bound(Conn::new(options)).await {
            Ok(Ok(conn)) => conn,
            Ok(Err(source)) => {
                return Err(LedgerError::Connect { address: address.to_string(), source });
            }
            Err(late) => return Err(LedgerError::Silent { doing, waited: late.0 }),
        };
        let (server, patience) = (Server::default(), spec.patience);
        let version = String::new();
        let mut connection =
            Self { conn, server, version, insert: None, patience, deadline, answered: Instant::now() };
        // With autocommit = 0, OK to an insert would not mean a commit.
        connection.run("SET SESSION autocommit = 1").await?;
        let who: Option<(String, String, String, u8)> = connection
            .call("say who it is", async |c| {
                c.query_first("SELECT @@server_uuid, @@hostname, @@version, @@SESSION.autocommit").await
            })
            .await?;
        let (uuid, pod, version, autocommit) = who.unwrap_or_default();
        if autocommit != 1 {
            return Err(LedgerError::NoAutocommit { address: address.to_string() });
        }
        let (pod_uid, node) = route.pod(&pod).unwrap_or_default();
        (connection.server, connection.version) = (Server { uuid, pod, pod_uid, node }, version);
        Ok(connection)
    }

    pub(super) fn server(&self) -> &Server {
        &self.server
    }

    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// Time of the server's last answer.
    pub(super) fn answered(&self) -> Instant {
        self.answered
    }

    /// Sets the deadline of all further calls.
    pub(super) fn until(&mut self, deadline: Deadline) {
        self.deadline = deadline;
    }

    pub(super) async fn run(&mut self, statement: &str) -> Result<(), LedgerError> {
        let doing = format!("run `{statement}`");
        self.call(&doing, async |c| c.query_drop(statement).await).await
    }

    pub(super) async fn uptime(&mut self) -> Result<u64, LedgerError> {
        let row: Option<(String, u64)> = self
            .call("tell its uptime", async |c| c.query_first("SHOW GLOBAL STATUS LIKE 'Uptime'").await)
            .await?;
        Ok(row.map_or(0, |r| r.1))
    }

    /// `innodb_flush_log_at_trx_commit`; `None` if the server does not know the variable.
    pub(super) async fn flush_at_commit(&mut self) -> Result<Option<u32>, LedgerError> {
        let query = "SELECT @@innodb_flush_log_at_trx_commit";
        match self.call("tell when it flushes its log", async |c| c.query_first(query).await).await {
            Err(LedgerError::Call { source: mysql_async::Error::Server(_), .. }) => Ok(None),
            other => other,
        }
    }

    pub(super) async fn databases(&mut self) -> Result<Vec<String>, LedgerError> {
        self.call("list its databases", async |c| c.query("SHOW DATABASES").await).await
    }

    /// The whole table; `None` if the database or the table does not exist.
    pub(super) async fn rows(&mut self, database: &str) -> Result<Option<Vec<Row>>, LedgerError> {
        let select = format!("SELECT writer, number, payload, checksum FROM {database}.ledger ORDER BY id");
        let read: Result<Vec<(String, u64, String, String)>, _> =
            self.call("read the ledger", async |c| c.query(&select).await).await;
        Ok(unless_absent(read)?.map(|rows| rows.into_iter().map(read_row).collect()))
    }

    /// The newest rows, from one statement and so from one moment of the server; `None` if the database or the table
    /// does not exist.
    pub(super) async fn newest(&mut self, database: &str) -> Result<Option<Vec<Seen>>, LedgerError> {
        let select = format!(
            "SELECT writer, MIN(number), MAX(number), COUNT(*), \
             BIT_XOR(CAST(CONV(LEFT(checksum, 16), 16, 10) AS UNSIGNED)) FROM {database}.ledger \
             WHERE id > (SELECT COALESCE(MAX(id), 0) FROM {database}.ledger) - {WINDOW} GROUP BY writer"
        );
        let read = self.call("read the newest rows", async |c| c.query(&select).await).await;
        let seen = |(writer, low, high, count, digest): (String, u64, u64, u64, u64)| {
            let digest = format!("{digest:016x}");
            Seen { writer, low, high, count, digest }
        };
        Ok(unless_absent(read)?.map(|rows: Vec<_>| rows.into_iter().map(seen).collect()))
    }

    /// Prepares the insert. A failure before a row was sent can then be distinguished from a later one.
    pub(super) async fn prepare(&mut self, database: &str) -> Result<(), LedgerError> {
        let insert =
            format!("INSERT INTO {database}.ledger (writer, number, payload, checksum) VALUES (?, ?, ?, ?)");
        let statement = self.call("prepare the insert", async |c| c.prep(&insert).await).await?;
        self.insert = Some(statement);
        Ok(())
    }

    /// Sends rows, several as one transaction. After anything but an acknowledgement, the connection must not be used
    /// again.
    pub(super) async fn insert(&mut self, rows: &[(Row, String)]) -> (Outcome, Option<LedgerError>) {
        let Some(statement) = self.insert.clone() else {
            return (Outcome::Refused, None);
        };
        let values = |(row, payload): &(Row, String)| {
            (row.writer.clone(), row.number, payload.clone(), row.checksum.clone())
        };
        if let [one] = rows {
            let doing = format!("insert row {}", one.0.number);
            return sent(self.call(&doing, async |c| c.exec_drop(&statement, values(one)).await).await);
        }
        // The server writes nothing without the COMMIT: until it is sent, every failure is a refusal.
        let mut before = self.run("START TRANSACTION").await;
        for row in rows {
            if before.is_ok() {
                let doing = format!("insert row {} of a transaction", row.0.number);
                before = self.call(&doing, async |c| c.exec_drop(&statement, values(row)).await).await;
            }
        }
        match before {
            Ok(()) => sent(self.run("COMMIT").await),
            Err(error) => (Outcome::Refused, Some(error)),
        }
    }

    /// Closes the connection, if possible with a goodbye to the server, and returns the server.
    pub(super) async fn close(self) -> Server {
        let _ = Deadline::after(Duration::from_millis(500)).bound(self.conn.disconnect()).await;
        self.server
    }

    async fn call<T>(
        &mut self,
        doing: &str,
        call: impl AsyncFnOnce(&mut Conn) -> Result<T, mysql_async::Error>,
    ) -> Result<T, LedgerError> {
        let bound = self.deadline.at_most(self.patience);
        match bound.bound(call(&mut self.conn)).await {
            Ok(Ok(value)) => {
                self.answered = Instant::now();
                Ok(value)
            }
            Ok(Err(source)) => Err(LedgerError::Call { doing: doing.into(), source }),
            Err(late) => Err(LedgerError::Silent { doing: doing.into(), waited: late.0 }),
        }
    }
}

fn sent(answer: Result<(), LedgerError>) -> (Outcome, Option<LedgerError>) {
    match answer {
        Ok(()) => (Outcome::Acknowledged, None),
        Err(error) => (outcome_of_sent(&error), Some(error)),
    }
}

/// Treats a missing database or table as an answer.
fn unless_absent<T>(read: Result<T, LedgerError>) -> Result<Option<T>, LedgerError> {
    match read {
        Err(LedgerError::Call { source: mysql_async::Error::Server(e), .. }) if ABSENT.contains(&e.code) => {
            Ok(None)
        }
        read => read.map(Some),
    }
}

/// The outcome of a row that was sent, from the error.
fn outcome_of_sent(error: &LedgerError) -> Outcome {
    match error {
        LedgerError::Call { source: mysql_async::Error::Server(e), .. } if REFUSES.contains(&e.code) => {
            Outcome::Refused
        }
        _ => Outcome::Indeterminate,
    }
}

/// A row as it is stored in the table. If its content does not match the stored checksum, the checksum returned here
/// matches neither the written row nor any other row.
fn read_row((writer, number, payload, stored): (String, u64, String, String)) -> Row {
    let computed = checksum(&writer, number, &payload);
    let checksum = if computed == stored { stored } else { format!("{stored} over {computed}") };
    Row { writer, number, checksum }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server_error(code: u16) -> LedgerError {
        let source = mysql_async::ServerError { code, message: "m".into(), state: "HY000".into() };
        LedgerError::Call { doing: "insert row 1".into(), source: source.into() }
    }

    /// Codes that do not come from mysqld, or that come after a row may have been written.
    #[rstest::rstest]
    fn a_row_that_may_be_written_is_not_refused(
        #[values(1053, 1105, 1158, 1159, 1160, 1161, 1180, 1317, 1598, 2006, 2013, 3100, 9001, 65535)]
        code: u16,
    ) {
        assert_eq!(outcome_of_sent(&server_error(code)), Outcome::Indeterminate);
    }

    #[test]
    fn only_a_servers_plain_error_is_a_refusal() {
        let broken = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let broken = LedgerError::Call { doing: "insert row 1".into(), source: broken.into() };
        let silent = LedgerError::Silent { doing: "insert row 1".into(), waited: Duration::ZERO };
        let cases = [
            (server_error(1146), Outcome::Refused),
            (server_error(1290), Outcome::Refused),
            (server_error(1053), Outcome::Indeterminate),
            (server_error(1180), Outcome::Indeterminate),
            (broken, Outcome::Indeterminate),
            (silent, Outcome::Indeterminate),
        ];
        for (error, outcome) in cases {
            assert_eq!(outcome_of_sent(&error), outcome, "{error:?}");
        }
    }

    #[test]
    fn a_damaged_row_matches_no_written_one() {
        let good = checksum("w", 7, "payload");
        let row = |payload: &str, stored: &str| read_row(("w".into(), 7, payload.into(), stored.into()));
        assert_eq!(row("payload", &good).checksum, good);
        assert_ne!(row("paylord", &good).checksum, good);
        assert_ne!(row("payload", "0").checksum, good);
    }
}
