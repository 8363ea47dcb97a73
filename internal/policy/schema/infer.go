package schema

import (
	"reflect"
	"strings"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/schema/resolved"
)

// Uses says of what types a policy takes claims and arguments to be. Nobody declares
// those: a schema that knew none of them would refuse every policy about them, so
// they have the type by which they are used.
type Uses struct {
	model      *Model
	attributes map[types.String]*use
	// mixed is set where one attribute is used as more than one type. That can be
	// right: some issuers write one group as text, and several as a list.
	mixed bool
}

// use is how an attribute, or a part of one, is used.
type use struct {
	typ   resolved.IsType // nil: not known from its use
	parts map[types.String]*use
}

// UsesOf looks at a policy.
func (m *Model) UsesOf(p *ast.Policy) *Uses {
	u := &Uses{model: m, attributes: map[types.String]*use{}}
	for range 2 { // what stands behind can say what something before it is
		for _, c := range p.Conditions {
			u.visit(c.Body, resolved.BoolType{})
		}
	}
	return u
}

// typeOf is the type of a claim or an argument, text if nothing says otherwise.
func (u *Uses) typeOf(name types.String) resolved.IsType {
	if strings.HasPrefix(string(name), ClaimSetPrefix) {
		return resolved.SetType{Element: resolved.StringType{}}
	}
	if IsArgument(name) && strings.HasSuffix(string(name), PresentSuffix) {
		if x := u.attributes[name]; x == nil || x.typ == nil {
			return resolved.BoolType{}
		}
	}
	return u.attributes[name].resolve()
}

func (x *use) resolve() resolved.IsType {
	switch {
	case x == nil:
		return resolved.StringType{}
	case x.parts != nil:
		shape := resolved.RecordType{}
		for name, part := range x.parts {
			shape[name] = resolved.Attribute{Type: part.resolve()}
		}
		return shape
	case x.typ != nil:
		return x.typ
	}
	return resolved.StringType{}
}

// Decimals notes the attributes that are used as decimals.
func (u *Uses) Decimals(into map[types.String]bool) {
	for name, x := range u.attributes {
		if t, ok := x.typ.(resolved.SetType); ok && t.Element == decimalType || x.typ == decimalType {
			into[name] = true
		}
	}
}

var (
	decimalType resolved.IsType = resolved.ExtensionType("decimal")
	stringType  resolved.IsType = resolved.StringType{}
	longType    resolved.IsType = resolved.LongType{}
	boolType    resolved.IsType = resolved.BoolType{}
)

// visit notes what the claims and arguments in an expression must be for it to be
// of the wanted type; nil where any will do.
func (u *Uses) visit(n ast.IsNode, want resolved.IsType) {
	switch n := n.(type) {
	case ast.NodeTypeAccess:
		if x := u.find(n); x != nil {
			u.note(x, want)
		} else {
			u.visit(n.Arg, nil)
		}
	case ast.NodeTypeHas:
		if u.find(ast.NodeTypeAccess(n)) == nil {
			u.visit(n.Arg, nil)
		}
	case ast.NodeTypeEquals:
		u.alike(n.BinaryNode, nil)
	case ast.NodeTypeNotEquals:
		u.alike(n.BinaryNode, nil)
	case ast.NodeTypeLessThan:
		u.alike(n.BinaryNode, longType)
	case ast.NodeTypeLessThanOrEqual:
		u.alike(n.BinaryNode, longType)
	case ast.NodeTypeGreaterThan:
		u.alike(n.BinaryNode, longType)
	case ast.NodeTypeGreaterThanOrEqual:
		u.alike(n.BinaryNode, longType)
	case ast.NodeTypeAdd:
		u.both(n.BinaryNode, longType)
	case ast.NodeTypeSub:
		u.both(n.BinaryNode, longType)
	case ast.NodeTypeMult:
		u.both(n.BinaryNode, longType)
	case ast.NodeTypeNegate:
		u.visit(n.Arg, longType)
	case ast.NodeTypeAnd:
		u.both(n.BinaryNode, boolType)
	case ast.NodeTypeOr:
		u.both(n.BinaryNode, boolType)
	case ast.NodeTypeNot:
		u.visit(n.Arg, boolType)
	case ast.NodeTypeIfThenElse:
		u.visit(n.If, boolType)
		u.visit(n.Then, want)
		u.visit(n.Else, want)
	case ast.NodeTypeLike:
		u.visit(n.Arg, stringType)
	default:
		u.visitSets(n, want)
	}
}

func (u *Uses) visitSets(n ast.IsNode, want resolved.IsType) {
	switch n := n.(type) {
	case ast.NodeTypeContains:
		var element resolved.IsType
		if set, ok := u.typeOfNode(n.Left).(resolved.SetType); ok {
			element = set.Element
		}
		u.visit(n.Left, resolved.SetType{Element: orText(u.typeOfNode(n.Right))})
		u.visit(n.Right, element)
	case ast.NodeTypeContainsAll:
		u.alike(n.BinaryNode, resolved.SetType{Element: stringType})
	case ast.NodeTypeContainsAny:
		u.alike(n.BinaryNode, resolved.SetType{Element: stringType})
	case ast.NodeTypeIsEmpty:
		u.visit(n.Arg, resolved.SetType{Element: stringType})
	case ast.NodeTypeSet:
		var element resolved.IsType
		if set, ok := want.(resolved.SetType); ok {
			element = set.Element
		}
		for _, e := range n.Elements {
			u.visit(e, element)
		}
	case ast.NodeTypeRecord:
		for _, e := range n.Elements {
			u.visit(e.Value, nil)
		}
	case ast.NodeTypeExtensionCall:
		for _, arg := range n.Args {
			u.visit(arg, extensions[n.Name].argument)
		}
	case ast.NodeTypeIn:
		u.both(n.BinaryNode, nil)
	case ast.NodeTypeIs:
		u.visit(n.Left, nil)
	case ast.NodeTypeIsIn:
		u.visit(n.Left, nil)
		u.visit(n.Entity, nil)
	case ast.NodeTypeHasTag:
		u.both(n.BinaryNode, nil)
	case ast.NodeTypeGetTag:
		u.both(n.BinaryNode, nil)
	}
}

func (u *Uses) both(n ast.BinaryNode, want resolved.IsType) {
	u.visit(n.Left, want)
	u.visit(n.Right, want)
}

// alike visits two sides that have the same type, if nothing else is known the usual.
func (u *Uses) alike(n ast.BinaryNode, usual resolved.IsType) {
	or := func(t resolved.IsType) resolved.IsType {
		if t == nil {
			return usual
		}
		return t
	}
	left, right := u.typeOfNode(n.Left), u.typeOfNode(n.Right)
	u.visit(n.Left, or(right))
	u.visit(n.Right, or(left))
}

func orText(t resolved.IsType) resolved.IsType {
	if t == nil {
		return stringType
	}
	return t
}

// find returns the use of the claim or argument that an expression stands for, or
// of a part of one; nil if it stands for something else.
func (u *Uses) find(n ast.NodeTypeAccess) *use {
	switch arg := n.Arg.(type) {
	case ast.NodeTypeVariable:
		claim, argument := isClaim(n.Value), IsArgument(n.Value)
		switch arg.Name {
		case "context":
		case "principal":
			argument = false
		case "resource":
			claim = false
		default:
			return nil
		}
		if !claim && !argument {
			return nil
		}
		return u.attribute(n.Value)
	case ast.NodeTypeAccess:
		whole := u.find(arg)
		if whole == nil {
			if isClaim(n.Value) { // of an entity that is an attribute, such as an owner
				return u.attribute(n.Value)
			}
			return nil
		}
		if whole.typ != nil {
			u.mixed = true
		}
		if whole.parts == nil {
			whole.parts = map[types.String]*use{}
		}
		if whole.parts[n.Value] == nil {
			whole.parts[n.Value] = &use{}
		}
		return whole.parts[n.Value]
	}
	return nil
}

func (u *Uses) attribute(name types.String) *use {
	if u.attributes[name] == nil {
		u.attributes[name] = &use{}
	}
	return u.attributes[name]
}

func (u *Uses) note(x *use, want resolved.IsType) {
	switch {
	case want == nil:
	case x.parts != nil:
		u.mixed = true
	case x.typ == nil:
		x.typ = want
	case !reflect.DeepEqual(x.typ, want):
		u.mixed = true
	}
}

// extensions are the types that Cedar's functions take and return.
var extensions = map[types.Path]struct{ argument, result resolved.IsType }{
	"decimal":  {stringType, decimalType},
	"ip":       {stringType, resolved.ExtensionType("ipaddr")},
	"datetime": {stringType, resolved.ExtensionType("datetime")},
	"duration": {stringType, resolved.ExtensionType("duration")},
	"lessThan": {decimalType, boolType}, "lessThanOrEqual": {decimalType, boolType},
	"greaterThan": {decimalType, boolType}, "greaterThanOrEqual": {decimalType, boolType},
}

// typeOfNode is the type of an expression as far as it shows by itself.
func (u *Uses) typeOfNode(n ast.IsNode) resolved.IsType {
	switch n := n.(type) {
	case ast.NodeValue:
		return typeOfValue(n.Value)
	case ast.NodeTypeSet:
		for _, e := range n.Elements {
			if t := u.typeOfNode(e); t != nil {
				return resolved.SetType{Element: t}
			}
		}
	case ast.NodeTypeExtensionCall:
		return extensions[n.Name].result
	case ast.NodeTypeAdd, ast.NodeTypeSub, ast.NodeTypeMult, ast.NodeTypeNegate:
		return longType
	case ast.NodeTypeAccess:
		if x := u.find(n); x != nil {
			if x.parts != nil {
				return nil
			}
			return x.typ
		}
		if v, ok := n.Arg.(ast.NodeTypeVariable); ok {
			return u.model.typeOfKnown(v.Name, n.Value)
		}
	}
	return nil
}

// typeOfKnown is the type of an attribute that the model knows, whatever the action.
func (m *Model) typeOfKnown(variable, name types.String) resolved.IsType {
	switch variable {
	case "context":
		return m.context()[name].Type
	case "principal":
		return m.shapes[Principal][name].Type
	case "resource":
		for _, a := range actions {
			if t := m.shapes[a.resource][name].Type; t != nil {
				return t
			}
		}
	}
	return nil
}
