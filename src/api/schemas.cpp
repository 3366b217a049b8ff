// JSON Schemas of the API's messages (JSON Schema 2020-12, as OpenAPI 3.1 uses it).
#include "api/handlers.h"

namespace attestry::api {

std::string_view schemas_json() noexcept {
  static constexpr std::string_view kSchemas = R"json({
"Digest":{"type":"string","pattern":"^[0-9a-f]{64}$"},
"Base64Url":{"type":"string","pattern":"^[A-Za-z0-9_-]*$"},
"Time":{"type":"string","format":"date-time"},
"Text":{"type":"string"},
"OpenApi":{"type":"object"},
"Path_tenant":{"type":"string","pattern":"^[a-z0-9-]{1,63}$"},
"Path_app":{"type":"string","minLength":1,"maxLength":80},
"Path_key":{"type":"string","pattern":"^[0-9a-f]{64}$"},
"Path_id":{"type":"string","minLength":1,"maxLength":128},
"Path_name":{"type":"string","pattern":"^[a-z0-9_.-]{1,63}$"},
"Path_index":{"type":"integer","minimum":0,"maximum":9007199254740991},
"Problem":{"type":"object","required":["type","title","status","detail","code","remedy","trace_id"],"properties":{
 "type":{"type":"string"},"title":{"type":"string"},"status":{"type":"integer"},"detail":{"type":"string"},
 "code":{"type":"string"},"remedy":{"type":"string"},"trace_id":{"type":"string"},"expected":{"type":"string"},
 "found":{"type":"string"},"checks":{"type":"array","items":{"$ref":"#/components/schemas/CheckResult"}},"instance":{"type":"string"}}},
"ChallengeRequest":{"type":"object","additionalProperties":false,"properties":{"purpose":{"type":"integer","minimum":1,"maximum":6}}},
"Challenge":{"type":"object","required":["nonce","purpose","expires"],"properties":{
 "nonce":{"$ref":"#/components/schemas/Base64Url"},"purpose":{"type":"integer"},"expires":{"$ref":"#/components/schemas/Time"}}},
"InstanceRequest":{"type":"object","additionalProperties":false,"required":["evidence","csr","recipient","nonce","app"],"properties":{
 "evidence":{"$ref":"#/components/schemas/Base64Url"},"csr":{"$ref":"#/components/schemas/Base64Url"},
 "recipient":{"$ref":"#/components/schemas/Base64Url"},"nonce":{"$ref":"#/components/schemas/Base64Url"},
 "tenant":{"$ref":"#/components/schemas/Path_tenant"},"app":{"$ref":"#/components/schemas/Path_app"}}},
"InstanceReply":{"type":"object","required":["sealed","receipt"],"properties":{
 "sealed":{"$ref":"#/components/schemas/Base64Url"},"receipt":{"type":"string"}}},
"VerifyRequest":{"type":"object","additionalProperties":false,"required":["evidence"],"properties":{
 "evidence":{"$ref":"#/components/schemas/Base64Url"},"collateral":{"type":"object"},"at":{"$ref":"#/components/schemas/Time"},
 "policy":{"oneOf":[{"type":"string","enum":["genuine","default","strict"]},{"$ref":"#/components/schemas/Policy"}]},
 "report_data":{"type":"string","pattern":"^([0-9a-fA-F]{2})*$"},
 "lists":{"type":"array","maxItems":16,"items":{"$ref":"#/components/schemas/ListEnvelope"}}}},
"ListEnvelope":{"type":"object","additionalProperties":false,"required":["payloadType","payload","signatures"],"properties":{
 "payloadType":{"const":"application/vnd.attestry.list.v1+json"},"payload":{"type":"string"},
 "signatures":{"type":"array","minItems":1,"maxItems":64,"items":{"type":"object","additionalProperties":false,"required":["sig"],
 "properties":{"keyid":{"type":"string"},"sig":{"type":"string"}}}}}},
"PolicySchema":{"type":"object","required":["$schema","$id","properties"],"properties":{"$id":{"type":"string"}}},
"Policy":{"type":"object","required":["format"],"properties":{"format":{"const":1},"name":{"type":"string"}}},
"CheckResult":{"type":"object","required":["id","status"],"properties":{"id":{"type":"string"},
 "status":{"enum":["pass","fail","skipped"]},"expected":{"type":["string","null"]},"actual":{"type":["string","null"]},
 "detail":{"type":["string","null"]},"remedy":{"type":["string","null"]}}},
"Verdict":{"type":"object","required":["format","catalogue","verdict","evidence","platform","simulated","root_cause","claims","checks","collateral"],
 "properties":{"format":{"const":1},"catalogue":{"type":"string"},"verdict":{"enum":["accepted","refused","undecided"]},
 "evidence":{"enum":["genuine","false","undecided"]},"platform":{"type":"string"},"simulated":{"type":"boolean"},
 "root_cause":{"type":["object","null"]},"tcb":{"type":["object","null"]},"claims":{"type":"object"},
 "checks":{"type":"array","items":{"$ref":"#/components/schemas/CheckResult"}},"collateral":{"type":"array"},
 "valid_until":{"type":["string","null"]}}},
"Check":{"type":"object","required":["id","title","specification","meaning","remedy","needs"],"properties":{"id":{"type":"string"},
 "title":{"type":"string"},"specification":{"type":"string"},"meaning":{"type":"string"},"remedy":{"type":"string"},
 "needs":{"type":"array","items":{"type":"string"}}}},
"CheckCatalogue":{"type":"object","required":["catalogue","checks"],"properties":{"catalogue":{"type":"string"},
 "checks":{"type":"array","items":{"$ref":"#/components/schemas/Check"}}}},
"OperatorRequest":{"type":"object","additionalProperties":false,"required":["name"],"properties":{
 "name":{"type":"string","minLength":1,"maxLength":128}}},
"Operator":{"type":"object","required":["public_key","name","since"],"properties":{"public_key":{"$ref":"#/components/schemas/Digest"},
 "name":{"type":"string"},"since":{"$ref":"#/components/schemas/Time"}}},
"OperatorList":{"type":"object","required":["operators"],"properties":{"operators":{"type":"array","items":{"$ref":"#/components/schemas/Operator"}}}},
"BlobBytes":{},
"Blob":{"type":"object","required":["id","size"],"properties":{"id":{"$ref":"#/components/schemas/Digest"},"size":{"type":"integer"}}},
"Envelope":{"type":"object","additionalProperties":false,"required":["payloadType","payload","signatures"],"properties":{
 "payloadType":{"const":"application/vnd.attestry.approval.v1+json"},"payload":{"type":"string"},
 "signatures":{"type":"array","minItems":1,"maxItems":64,"items":{"type":"object","additionalProperties":false,"required":["sig"],
 "properties":{"keyid":{"type":"string"},"sig":{"type":"string"}}}}}},
"App":{"type":"object","required":["tenant","app","version","seq","prev","epoch","threshold","policy","identities","configuration","secrets"],
 "properties":{"tenant":{"type":"string"},"app":{"type":"string"},"version":{"type":"integer"},"seq":{"type":"integer"},
 "prev":{"type":"string"},"epoch":{"type":"integer"},"threshold":{"type":"integer"},"policy":{"type":["string","null"]},
 "identities":{"type":"array","items":{"$ref":"#/components/schemas/Digest"}},"configuration":{"type":["string","null"]},
 "secrets":{"type":"array","items":{"$ref":"#/components/schemas/Digest"}}}},
"AppList":{"type":"object","required":["apps"],"properties":{"apps":{"type":"array","items":{"$ref":"#/components/schemas/App"}}}},
"AcceptedApproval":{"type":"object","required":["payload_sha256","leaf_index","app"],"properties":{
 "payload_sha256":{"$ref":"#/components/schemas/Digest"},"leaf_index":{"type":"integer"},"app":{"$ref":"#/components/schemas/App"}}},
"ApprovalList":{"type":"object","required":["approvals"],"properties":{"approvals":{"type":"array","items":{"$ref":"#/components/schemas/Envelope"}}}},
"EffectivePolicy":{"type":"object","required":["sha256","policy"],"properties":{"sha256":{"$ref":"#/components/schemas/Digest"},
 "policy":{"$ref":"#/components/schemas/Policy"}}},
"SecretRequest":{"type":"object","additionalProperties":false,"required":["value"],"properties":{"value":{"$ref":"#/components/schemas/Base64Url"}}},
"Secret":{"type":"object","required":["id","name","size","stored"],"properties":{"id":{"$ref":"#/components/schemas/Digest"},
 "name":{"type":"string"},"size":{"type":"integer"},"stored":{"$ref":"#/components/schemas/Time"}}},
"SecretList":{"type":"object","required":["secrets"],"properties":{"secrets":{"type":"array","items":{"$ref":"#/components/schemas/Secret"}}}},
"LeafList":{"type":"object","required":["size","leaves"],"properties":{"size":{"type":"integer"},"leaves":{"type":"array","items":{
 "type":"object","required":["index","leaf"],"properties":{"index":{"type":"integer"},"leaf":{"type":"object"}}}}}},
"Consistency":{"type":"object","required":["first","second","proof"],"properties":{"first":{"type":"integer"},"second":{"type":"integer"},
 "proof":{"type":"array","items":{"type":"string"}}}},
"ApprovalContext":{"type":"object","required":["origin","realm","time"],"properties":{"origin":{"type":"string"},"realm":{"enum":["production","simulated"]},"time":{"$ref":"#/components/schemas/Time"}}},
"ServerInfo":{"type":"object","required":["name","version","origin","realm","simulated","log_key"],"properties":{"name":{"const":"attestry"},
 "version":{"type":"string"},"origin":{"type":"string"},"realm":{"enum":["production","simulated"]},"simulated":{"type":"boolean"},
 "log_key":{"type":"string"},"note":{"type":"string"}}},
"Health":{"type":"object","required":["status"],"properties":{"status":{"type":"string"},"parts":{"type":"object"}}}
})json";
  return kSchemas;
}

}  // namespace attestry::api
