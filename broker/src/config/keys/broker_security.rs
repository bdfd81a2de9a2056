//! Broker keys: TLS, SASL, delegation tokens and authorization.
//!
//! Nothing of it is there yet, and a broker that took these keys and left its door open would betray whoever set them:
//! all but the harmless ones are refused. Those that only say when and how often are harmless: alone they ask for
//! nothing.

use super::{Key, Valid, boolean, class, double, int, list, long, password, short, string};

const AUTHORIZER: &str = "authorization is not there yet, so everybody could do everything";
const PLUGIN: &str = "Java plug-ins cannot run here, so what this one enforces would be lost";
const SASL: &str = "SASL is not there yet, so nobody would be authenticated";
const SASL_UNUSED: &str = "SASL is not there yet";
const TLS: &str = "TLS is not there yet, so connections would not be encrypted";
const TOKENS: &str = "delegation tokens are not there yet";
const TOKENS_UNUSED: &str = "delegation tokens are not there yet";

pub(super) const KEYS: &[Key] = &[
    string("authorizer.class.name").default("").refused(AUTHORIZER),
    long("connections.max.reauth.ms").default("0").refused(SASL),
    long("delegation.token.expiry.check.interval.ms").default("3600000").from(1).no_effect(TOKENS_UNUSED),
    long("delegation.token.expiry.time.ms").default("86400000").from(1).no_effect(TOKENS_UNUSED),
    long("delegation.token.max.lifetime.ms").default("604800000").from(1).no_effect(TOKENS_UNUSED),
    password("delegation.token.secret.key").refused(TOKENS),
    class("principal.builder.class")
        .default("org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder")
        .per_broker()
        .refused(PLUGIN),
    class("sasl.client.callback.handler.class").refused(SASL),
    list("sasl.enabled.mechanisms").default("GSSAPI").per_broker().refused(SASL),
    password("sasl.jaas.config").per_broker().refused(SASL),
    string("sasl.kerberos.kinit.cmd").default("/usr/bin/kinit").per_broker().refused(SASL),
    long("sasl.kerberos.min.time.before.relogin").default("60000").per_broker().no_effect(SASL_UNUSED),
    list("sasl.kerberos.principal.to.local.rules").default("DEFAULT").per_broker().refused(SASL),
    string("sasl.kerberos.service.name").per_broker().refused(SASL),
    double("sasl.kerberos.ticket.renew.jitter").default("0.05").per_broker().no_effect(SASL_UNUSED),
    double("sasl.kerberos.ticket.renew.window.factor").default("0.8").per_broker().no_effect(SASL_UNUSED),
    class("sasl.login.callback.handler.class").refused(SASL),
    class("sasl.login.class").refused(SASL),
    int("sasl.login.connect.timeout.ms").no_effect(SASL_UNUSED),
    int("sasl.login.read.timeout.ms").no_effect(SASL_UNUSED),
    short("sasl.login.refresh.buffer.seconds").default("300").per_broker().no_effect(SASL_UNUSED),
    short("sasl.login.refresh.min.period.seconds").default("60").per_broker().no_effect(SASL_UNUSED),
    double("sasl.login.refresh.window.factor").default("0.8").per_broker().no_effect(SASL_UNUSED),
    double("sasl.login.refresh.window.jitter").default("0.05").per_broker().no_effect(SASL_UNUSED),
    long("sasl.login.retry.backoff.max.ms").default("10000").no_effect(SASL_UNUSED),
    long("sasl.login.retry.backoff.ms").default("100").no_effect(SASL_UNUSED),
    string("sasl.mechanism.controller.protocol").default("GSSAPI").refused(SASL),
    string("sasl.mechanism.inter.broker.protocol").default("GSSAPI").per_broker().refused(SASL),
    string("sasl.oauthbearer.assertion.algorithm")
        .default("RS256")
        .valid(Valid::OneOfAnyCase(&["ES256", "RS256"]))
        .refused(SASL),
    string("sasl.oauthbearer.assertion.claim.aud").refused(SASL),
    int("sasl.oauthbearer.assertion.claim.exp.seconds").default("300").within(0, 86400).refused(SASL),
    string("sasl.oauthbearer.assertion.claim.iss").refused(SASL),
    boolean("sasl.oauthbearer.assertion.claim.jti.include").default("false").refused(SASL),
    int("sasl.oauthbearer.assertion.claim.nbf.seconds").default("60").within(0, 3600).refused(SASL),
    string("sasl.oauthbearer.assertion.claim.sub").refused(SASL),
    string("sasl.oauthbearer.assertion.file").refused(SASL),
    string("sasl.oauthbearer.assertion.private.key.file").refused(SASL),
    password("sasl.oauthbearer.assertion.private.key.passphrase").refused(SASL),
    string("sasl.oauthbearer.assertion.template.file").refused(SASL),
    string("sasl.oauthbearer.client.credentials.client.id").refused(SASL),
    password("sasl.oauthbearer.client.credentials.client.secret").refused(SASL),
    int("sasl.oauthbearer.clock.skew.seconds").default("30").refused(SASL),
    list("sasl.oauthbearer.expected.audience").default("").refused(SASL),
    string("sasl.oauthbearer.expected.issuer").refused(SASL),
    long("sasl.oauthbearer.jwks.endpoint.refresh.ms").default("3600000").no_effect(SASL_UNUSED),
    long("sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms").default("10000").no_effect(SASL_UNUSED),
    long("sasl.oauthbearer.jwks.endpoint.retry.backoff.ms").default("100").no_effect(SASL_UNUSED),
    string("sasl.oauthbearer.jwks.endpoint.url").refused(SASL),
    class("sasl.oauthbearer.jwt.retriever.class")
        .default("org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever")
        .refused(SASL),
    class("sasl.oauthbearer.jwt.validator.class")
        .default("org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator")
        .refused(SASL),
    string("sasl.oauthbearer.scope").refused(SASL),
    string("sasl.oauthbearer.scope.claim.name").default("scope").refused(SASL),
    string("sasl.oauthbearer.sub.claim.name").default("sub").refused(SASL),
    string("sasl.oauthbearer.token.endpoint.url").refused(SASL),
    class("sasl.server.callback.handler.class").refused(SASL),
    int("sasl.server.max.receive.size").default("524288").refused(SASL),
    string("security.inter.broker.protocol")
        .default("PLAINTEXT")
        .one_of(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"])
        .refused(SASL),
    string("security.providers").refused(PLUGIN),
    boolean("ssl.allow.dn.changes").default("false").refused(TLS),
    boolean("ssl.allow.san.changes").default("false").refused(TLS),
    list("ssl.cipher.suites").default("").per_broker().refused(TLS),
    string("ssl.client.auth")
        .default("none")
        .one_of(&["required", "requested", "none"])
        .per_broker()
        .refused(TLS),
    list("ssl.enabled.protocols").default("TLSv1.2,TLSv1.3").per_broker().refused(TLS),
    string("ssl.endpoint.identification.algorithm").default("https").per_broker().refused(TLS),
    class("ssl.engine.factory.class").per_broker().refused(TLS),
    password("ssl.key.password").per_broker().refused(TLS),
    string("ssl.keymanager.algorithm").default("SunX509").per_broker().refused(TLS),
    password("ssl.keystore.certificate.chain").per_broker().refused(TLS),
    password("ssl.keystore.key").per_broker().refused(TLS),
    string("ssl.keystore.location").per_broker().refused(TLS),
    password("ssl.keystore.password").per_broker().refused(TLS),
    string("ssl.keystore.type").default("JKS").per_broker().refused(TLS),
    string("ssl.principal.mapping.rules").default("DEFAULT").refused(TLS),
    string("ssl.protocol").default("TLSv1.3").per_broker().refused(TLS),
    string("ssl.provider").per_broker().refused(TLS),
    string("ssl.secure.random.implementation").per_broker().refused(TLS),
    string("ssl.trustmanager.algorithm").default("PKIX").per_broker().refused(TLS),
    password("ssl.truststore.certificates").per_broker().refused(TLS),
    string("ssl.truststore.location").per_broker().refused(TLS),
    password("ssl.truststore.password").per_broker().refused(TLS),
    string("ssl.truststore.type").default("JKS").per_broker().refused(TLS),
];
