"""The one program that nvsx ever gives to a mongosh: it connects once, then answers a line of EJSON for each request.

It is constant. What differs (addresses, names, filters) comes as data on stdin, so that no secret stands in a process
list and no filter becomes code. It ends when stdin does, and by itself after half an hour, since a broken exec may
leave it behind in the pod.
"""

from __future__ import annotations

TAG = "@nvsx "
"""Begins every answer: whatever else stands on stdout is a warning of mongosh or of a wrapper around it."""

LIFETIME_S = 1800.0
"""How long one session is used before it is renewed."""

# Short, because `kubectl exec` carries it in a URL. In a pod the password comes from the container's own environment,
# and TLS is used where the container has the files for it; key and certificate are joined where they stand apart.
PROGRAM = """(async()=>{
const fs=require("fs"),env=process.env,here=f=>f&&fs.existsSync(f);
let to,scratch;
const say=a=>process.stdout.write("\\n@nvsx "+EJSON.stringify(a)+"\\n");
const drop=()=>{if(scratch)fs.rmSync(scratch,{recursive:true,force:true});scratch=null};
const inside=q=>{
let p=q.password;
if(!p&&q.variable)p=env[q.variable]||(here(env[q.variable+"_FILE"])?fs.readFileSync(env[q.variable+"_FILE"],"utf8").trim():"");
let u="mongodb://"+(p?encodeURIComponent(q.user)+":"+encodeURIComponent(p)+"@":"")+q.address+"/?directConnection=true";
if(p)u+="&authSource=admin&authMechanism=SCRAM-SHA-256";
if(!here(q.ca))return u;
let pem=q.pem;
if(here(q.key)){
scratch=fs.mkdtempSync((here("/dev/shm")?"/dev/shm":require("os").tmpdir())+"/nvsx-");
pem=scratch+"/client.pem";
fs.writeFileSync(pem,fs.readFileSync(q.certificate)+"\\n"+fs.readFileSync(q.key),{mode:0o600})}
u+="&tls=true&tlsAllowInvalidHostnames=true&tlsCAFile="+encodeURIComponent(q.ca);
return here(pem)?u+"&tlsCertificateKeyFile="+encodeURIComponent(pem):u};
const of=q=>to.getDB(q.database).getCollection(q.collection);
const acts={
connect:async q=>{
try{
to=await new Mongo((q.uri||inside(q))+q.options);
await to.setReadPref("secondaryPreferred");
const h=await to.getDB("admin").runCommand({hello:1});
return{set:h.setName||"",primary:h.primary||""}}finally{drop()}},
names:async q=>{
const found=await to.getDB(q.database).getCollectionNames();
let all=null;
if(!found.length)try{all=await to.getDBNames()}catch(e){}
return{collections:found,databases:all}},
find:async q=>(await of(q).find(q.filter,q.fields)).sort(q.sort).limit(q.limit).batchSize(q.limit).maxTimeMS(q.ms)
.toArray(),
count:async q=>of(q).countDocuments(q.filter,{limit:q.limit,maxTimeMS:q.ms}),
aggregate:async q=>(await of(q).aggregate(q.stages,{maxTimeMS:q.ms})).toArray()};
setTimeout(()=>{drop();process.exit(0)},1860000).unref();
for await(const line of require("readline").createInterface({input:process.stdin,crlfDelay:Infinity})){
let n=null;
try{const q=EJSON.parse(line);n=q.n;say({n,ok:await acts[q.act](q)})}
catch(e){
let why=e;
const seen=e.reason&&e.reason.servers;
if(seen)for(const s of seen.values())if(s.error)why=s.error;
while(why.cause)why=why.cause;
say({n,error:{name:String(e.name),message:String(e.message),why:String(why.message),code:e.code??null,codeName:e.codeName??""}})}}
})()"""

ARGUMENTS = ("--nodb", "--quiet", "--norc", "--eval", PROGRAM)
